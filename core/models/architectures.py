"""The architectures that a card may name: those that ship, and those that plugins add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from core.inputs import InvalidInput, quoted
from core.models.copying import first_line
from core.models.denoisers import Autoencoder, DUNet, KernelPredictionNet
from core.models.networks import VGG, AlexNet, DigitA, DigitB, SEResNet, SmallCNN, TwoLayerNetwork, WhitenedResNet

Kind = Literal["classifier", "mask_generator", "denoiser"]


@dataclass(frozen=True)
class Shape:
    """What a network is built for: images of `channels` channels and size×size pixels, and the number of classes of their domain."""

    channels: int
    size: int
    classes: int


Builder = Callable[[Shape], nn.Module]


class Architectures:
    """The networks that an artifact's card may name; one enters by `register`."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[Kind, Builder]] = {}

    def register(self, name: str, kind: Kind = "classifier") -> Callable[[Builder], Builder]:
        """A decorator for a function (or class) that builds a network of that name; defined anew, it replaces itself.

        A classifier maps normalized images to logits N×K; a denoiser maps images N×C×H×W in [0, 1] to images of that shape.

        Raises:
            InvalidInput: something else has that name.
        """

        def add(builder: Builder) -> Builder:
            existing = self.entries.get(name)
            if existing is not None and _origin(existing[1]) != _origin(builder):
                raise InvalidInput(f"There is an architecture called {quoted(name)} already; choose another name.")
            self.entries[name] = (kind, builder)
            return builder

        return add

    def kind(self, name: str) -> Kind | None:
        """What the networks of that architecture do; None where there is no such architecture."""
        return self.entries[name][0] if name in self.entries else None

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The architectures of that kind by name."""
        return tuple(sorted(name for name, (what, _) in self.entries.items() if what == kind))

    def build(self, name: str, kind: Kind, shape: Shape) -> nn.Module:
        """A network with fresh weights.

        Raises:
            InvalidInput: there is no such architecture of that kind, or its own code fails.
        """
        if self.kind(name) != kind:
            raise InvalidInput(f"No {kind.replace('_', ' ')} has the architecture {quoted(name)}.")
        try:
            network = self.entries[name][1](shape)
        except InvalidInput:
            raise
        except Exception as error:  # a plugin's own code runs here
            raise InvalidInput(f"The architecture {quoted(name)} cannot be built: {first_line(error)}.") from error
        if not isinstance(network, nn.Module):
            raise InvalidInput(f"The architecture {quoted(name)} makes a {type(network).__name__}, no torch.nn.Module.")
        return network


def _origin(builder: Builder) -> tuple[str, str]:
    return getattr(builder, "__module__", ""), getattr(builder, "__qualname__", "")


ARCHITECTURES = Architectures()
_SHIPPED: dict[str, Builder] = {
    "photonet": lambda shape: SEResNet(shape.classes, (32, 64, 128, 256), (1, 1, 1, 1), first=16, pool=True),
    "imagenette": lambda shape: SEResNet(shape.classes, (32, 64, 160, 320), (1, 2, 2, 1), first=24),
    "whitened": lambda shape: WhitenedResNet(shape.classes),
    "vgg": lambda shape: VGG(shape.classes),
    "vgg_gray": lambda shape: VGG(shape.classes, (16, 32, 64, 128), channels=1),
    "alexnet": lambda shape: AlexNet(shape.classes),
    "digit_a": lambda shape: DigitA(shape.classes),
    "digit_b": lambda shape: DigitB(shape.classes),
    "small_cnn": lambda shape: SmallCNN(shape.classes),
    "two_layer": lambda shape: TwoLayerNetwork(shape.classes, shape.channels * shape.size**2),
}
_DENOISER_WIDTHS: dict[int, tuple[int, ...]] = {1: (16, 32, 64, 64), 3: (24, 48, 96, 96)}  # by channels
_DENOISERS: dict[str, Builder] = {
    "dunet": lambda shape: DUNet(shape.channels, _DENOISER_WIDTHS[shape.channels]),
    "dunet_photo": lambda shape: DUNet(shape.channels, (16, 32, 64, 96, 128)),
    "kernel_prediction": lambda shape: KernelPredictionNet(shape.channels, _DENOISER_WIDTHS[shape.channels]),
    "autoencoder": lambda shape: Autoencoder(),
}
for _name, _builder in _SHIPPED.items():
    ARCHITECTURES.register(_name)(_builder)
for _name, _builder in _DENOISERS.items():
    ARCHITECTURES.register(_name, "denoiser")(_builder)
