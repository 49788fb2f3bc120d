"""A classifier as the rest of the house knows it: images in [0, 1] to logits, frozen, in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import chain
from typing import Self

import torch
from torch import Tensor, nn

from core.cancellation import check
from core.inputs import InvalidInput, full_precision, shape_text
from core.models.copying import copied, first_line
from core.random_streams import AttackLooks


class Classifier(nn.Module):
    """From float32 N×C×H×W in [0, 1] to logits N×K; the normalization is inside, the mode and the weights never change.

    It keeps a copy of the network: the caller's stays as it was, and later changes to it change nothing here.

    Attributes:
        name, title: as in a recipe and as on the screen.
        domain: the domain it belongs to; empty for a network of one's own.
        classes: the class names in the order of the logits.
        size, channels: of the images it takes, size×size.
        cam_layer: the dotted name of the layer that Grad-CAM looks at; empty where there is none.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        title: str,
        domain: str,
        classes: tuple[str, ...],
        size: int,
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        cam_layer: str,
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise InvalidInput(f"The network must be a torch.nn.Module; this is a {type(network).__name__}.")
        self.name, self.title, self.domain, self.classes = name, title, domain, tuple(classes)
        self.size, self.channels, self.cam_layer = size, channels, cam_layer
        first_tensor = next(chain(network.parameters(), network.buffers()), None)
        device = torch.device("cpu") if first_tensor is None else first_tensor.device
        with torch.inference_mode(False):
            self.network = copied(network).float()
            self.register_buffer("mean", _by_channel(mean, channels, "mean").to(device))
            self.register_buffer("std", _by_channel(std, channels, "std").to(device))
        if not bool((self.std > 0).all()):
            raise InvalidInput("Every value of std must be above 0; use 1 where nothing is to be scaled.")
        self.requires_grad_(False)
        super().train(False)
        self.contiguous = False  # whether images have to lie in memory channel after channel
        with torch.inference_mode(False):
            self._choose_memory_format()

    @staticmethod
    def wrap(
        module: nn.Module,
        *,
        classes: Sequence[str] | int,
        size: int,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        channels: int | None = None,
        name: str = "own",
        title: str = "",
        domain: str = "",
        cam_layer: str | None = None,
    ) -> Classifier:
        """A network of one's own as a classifier, for every attack, defense and view.

        Args:
            module: maps normalized images N×C×size×size to logits N×K. It is copied and stays as it is.
            classes: the K class names in the order of the logits, or K.
            size: of the images it takes, in pixels.
            mean, std: the images in [0, 1] are normalized as (image - mean) / std; one number a channel, or one for all.
            channels: 1 or 3; as many as `mean` or `std` has, or 3.
            name, title, domain: as in a recipe and as on the screen; the title is the module's type unless given.
            cam_layer: the layer for class activation maps; the last convolution unless given.

        Raises:
            InvalidInput: an argument does not fit the module; the sentence says which.
        """
        if isinstance(classes, str) or (isinstance(classes, int) and classes < 1):
            raise InvalidInput("classes must be the class names in the order of the logits, or their number.")
        names = tuple(map(str, range(classes) if isinstance(classes, int) else classes))
        if not isinstance(module, nn.Module):
            raise InvalidInput(f"The network must be a torch.nn.Module; this is a {type(module).__name__}.")
        if channels is None:
            channels = next((len(v) for v in (mean, std) if not isinstance(v, int | float) and len(v) > 1), 0)
            channels = channels or (1 if not isinstance(mean, int | float) else 3)
        if channels not in (1, 3):
            raise InvalidInput(f"A classifier takes images with 1 or 3 channels, not {channels}.")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidInput(
                f"size is {size!r}; it must be the side of the images in pixels, a whole number above 0."
            )
        if cam_layer is None:
            convolutions = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
            cam_layer = convolutions[-1] if convolutions else ""
        elif cam_layer not in dict(module.named_modules()):
            raise InvalidInput(
                f"The network has no layer called {cam_layer[:60]!r}; cam_layer is a name of named_modules()."
            )
        return Classifier(
            module,
            name=name,
            title=title or type(module).__name__,
            domain=domain,
            classes=names,
            size=size,
            channels=channels,
            mean=(float(mean),) if isinstance(mean, int | float) else tuple(map(float, mean)),
            std=(float(std),) if isinstance(std, int | float) else tuple(map(float, std)),
            cam_layer=cam_layer,
        )

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: an attack that switches dropout or batch statistics on attacks another network."""
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moving to another device; weights moved under `torch.inference_mode()` would take part in no gradient."""
        with torch.inference_mode(False):
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def cam_module(self) -> nn.Module:
        """The layer that Grad-CAM looks at.

        Raises:
            InvalidInput: the classifier names none.
        """
        if not self.cam_layer:
            raise InvalidInput(f"{self.title} names no layer for class activation maps; give its cam_layer.")
        return self.network.get_submodule(self.cam_layer)

    @property
    def surrogate(self) -> Classifier:
        """What an attacker differentiates: this classifier, unless a defense is unknown to the attacker."""
        return self

    def in_attack(self, looks: AttackLooks) -> Classifier:
        """This classifier to one attack, whose own draws come from `looks`; itself where nothing is drawn."""
        return self

    def one_draw(self) -> Classifier:
        """This classifier with one draw in place of the mean of several, for views of its layers; itself where nothing is drawn."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of images N×C×H×W in [0, 1], of any float type, on this classifier's device.

        Raises:
            InvalidInput: other channels than it takes, or values that are no floats.
        """
        check()
        images = (self.accepted(images).to(self.mean.dtype) - self.mean) / self.std
        logits: Tensor = self.network(images.contiguous() if self.contiguous else images)
        return logits

    def accepted(self, images: Tensor) -> Tensor:
        """Images N×C×H×W on this classifier's device, as floats of 32 or 64 bits.

        Raises:
            InvalidInput: other channels than it takes, or values that are no floats.
        """
        if images.dim() != 4 or images.shape[1] != self.channels or not images.is_floating_point():
            shape = shape_text(images)
            raise InvalidInput(
                f"{self.title} takes float images N×{self.channels}×{self.size}×{self.size} in [0, 1]; "
                f"these are {shape} of {str(images.dtype).removeprefix('torch.')}."
            )
        return full_precision(images.to(self.device))

    def _choose_memory_format(self) -> None:
        """Lay the weights as the network works fastest: their channels side by side, unless its code needs them one after another.

        Where the weights' channels lie side by side, so do those of all that a convolution makes: a third faster on a CPU. A
        network that calls `view` on such maps fails, forward or backward.

        Raises:
            InvalidInput: the network does not work in either way, or its answer is not one logit a class.
        """
        if self.device.type == "meta":
            return
        try:
            self.network.to(memory_format=torch.channels_last)
            self._try_out(torch.channels_last)
        except Exception:  # whatever the network's own code raises
            self.network.to(memory_format=torch.contiguous_format)
            self.contiguous = True
            try:
                self._try_out(torch.contiguous_format)
            except Exception as error:
                raise InvalidInput(
                    f"{self.title} does not take images N×{self.channels}×{self.size}×{self.size}: {first_line(error)}."
                ) from error

    def _try_out(self, memory_format: torch.memory_format) -> None:
        """Run the network and its gradient on one gray image in that memory format."""
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            image = torch.full((1, self.channels, self.size, self.size), 0.5, device=self.device)
            leaf = ((image - self.mean) / self.std).contiguous(memory_format=memory_format).requires_grad_(True)
            logits = self.network(leaf)
            if not isinstance(logits, Tensor) or logits.shape != (1, len(self.classes)):
                answer = shape_text(logits) if isinstance(logits, Tensor) else type(logits).__name__
                raise InvalidInput(
                    f"it answers with {answer} for one image, and {len(self.classes)} classes need 1×{len(self.classes)}"
                )
            if logits.requires_grad:
                torch.autograd.grad(logits.sum(), leaf, allow_unused=True)


def _by_channel(values: Sequence[float], channels: int, word: str) -> Tensor:
    """Numbers for the channels, 1×C×1×1; one number stands for all channels.

    Raises:
        InvalidInput: not finite, or neither one nor as many as there are channels.
    """
    tensor = torch.tensor(tuple(values), dtype=torch.float32)
    if tensor.numel() not in (1, channels):
        raise InvalidInput(
            f"{word} has {tensor.numel()} values, and the images have {channels} channels; give one a channel."
        )
    if not bool(tensor.isfinite().all()):
        raise InvalidInput(f"{word} must hold finite numbers.")
    return tensor.expand(channels).clone().view(1, -1, 1, 1)


class Wrapper(Classifier):
    """A classifier around another one, which it passes for: the same name, classes, size, layers and device."""

    def __init__(self, classifier: Classifier) -> None:
        nn.Module.__init__(self)
        self.classifier = classifier
        for name in ("name", "title", "domain", "classes", "size", "channels", "cam_layer"):
            setattr(self, name, getattr(classifier, name))
        nn.Module.train(self, False)

    def around(self, classifier: Classifier) -> Self:
        """The same wrapper around another classifier; this one stays as it is."""
        twin = copy(self)
        twin._modules = {**self._modules, "classifier": classifier}
        return twin

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The network whose layers class activation maps and feature noise look at."""
        return self.classifier.network

    @property
    def surrogate(self) -> Classifier:
        """The same wrapper around what an attacker differentiates of the inner classifier."""
        inner = self.classifier.surrogate
        return self if inner is self.classifier else self.around(inner)

    def in_attack(self, looks: AttackLooks) -> Classifier:
        inner = self.classifier.in_attack(looks)
        return self if inner is self.classifier else self.around(inner)

    def one_draw(self) -> Classifier:
        inner = self.classifier.one_draw()
        return self if inner is self.classifier else self.around(inner)

    @property
    def device(self) -> torch.device:
        return self.classifier.device

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        return self.classifier.mean

    @property
    def std(self) -> Tensor:  # type: ignore[override]
        return self.classifier.std
