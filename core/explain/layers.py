"""The layers of a classifier that can be looked at, and what they say of images, without a trace left in the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn

from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.models.copying import twin

_LEAVES = (nn.Conv2d, nn.LayerNorm, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)


@dataclass(frozen=True)
class Layer:
    """One layer: its dotted name inside the network, and the maps it makes of one image."""

    name: str
    kind: str  # the class of its module: Conv2d, ReLU, SEBlock
    channels: int
    height: int
    width: int

    @property
    def title(self) -> str:
        return f"{self.name}: {self.kind}, {self.channels} × {self.height} × {self.width}"


def as_maps(output: Tensor) -> Tensor:
    """A layer's output as maps N×C×h×w: also of tokens N×L×C (a class token is left out) and of N×h×w×C.

    Raises:
        InvalidInput: it is neither.
    """
    if output.dim() == 3:
        count = output.shape[1]
        tokens = output if isqrt(count) ** 2 == count else output[:, 1:]
        side = isqrt(tokens.shape[1])
        if side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    if output.dim() == 4:
        return output.permute(0, 3, 1, 2) if channels_last(output) else output
    raise InvalidInput("This layer makes no maps; choose another one.")


def channels_last(output: Tensor) -> bool:
    """Whether an output lists its channels behind its places, as transformers do; images are square."""
    if output.dim() == 3:
        return True
    return output.shape[1] == output.shape[2] != output.shape[3]


def layers(classifier: Classifier) -> tuple[Layer, ...]:
    """The layers of a classifier that a class map can be made of, in the order in which they work.

    They make maps of at least 2×2, and the logits depend on these maps. In a vision transformer's last block the logits depend on the
    class token alone, so every class map there would be zero.
    """
    candidates: dict[str, Layer] = {}
    reached: set[str] = set()  # the layers whose maps get a gradient from the logits
    network = twin(classifier.one_draw())
    _fill_zero_weights(network)
    names = {id(module): name for name, module in network.network.named_modules() if name}

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        name, leaf = names[id(module)], not list(module.children())
        if not isinstance(output, Tensor) or (leaf and not isinstance(module, _LEAVES)):
            return
        try:
            maps = as_maps(output)
        except InvalidInput:
            return
        _, channels, height, width = maps.shape
        if min(height, width) >= 2 and height == width:
            candidates.setdefault(name, Layer(name, type(module).__name__, channels, height, width))
            if output.requires_grad:
                output.register_hook(lambda gradient: reach(name, gradient))  # type: ignore[no-untyped-call]

    def reach(name: str, gradient: Tensor) -> None:
        if bool((as_maps(gradient) != 0).any()):
            reached.add(name)

    for module in network.network.modules():
        if id(module) in names:
            module.register_forward_hook(note)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.enable_grad():
        noise = torch.rand(1, classifier.channels, classifier.size, classifier.size, generator=generator)
        probe = torch.cat([torch.full_like(noise, 0.5), noise])  # two images: on one alone, ReLUs may all be silent
        logits = network(probe.requires_grad_(True))
        if logits.requires_grad:
            # The sum of all logits may be constant; a random sum is not.
            (logits * torch.randn(logits.shape, generator=generator).to(logits)).sum().backward()
    # A network without a gradient says nothing of its layers; then all are offered.
    return tuple(layer for name, layer in candidates.items() if name in reached or not reached)


def _fill_zero_weights(network: nn.Module) -> None:
    """Give a twin's all-zero weights, as an untrained head has them, random values: they would hide what lies before them."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not bool((module.weight != 0).any()):
            weight = torch.randn(module.weight.shape, generator=generator).to(module.weight)
            module.weight = nn.Parameter(weight, requires_grad=False)


def by_depth(available: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers from the image to the logits, shortcuts left out: convolutions, or a transformer's norms."""
    convolutions = tuple(
        layer
        for layer in available
        if layer.kind == "Conv2d" and not {"shortcut", "downsample"} & set(layer.name.split("."))
    )
    return convolutions if len(convolutions) > 2 else tuple(layer for layer in available if layer.kind == "LayerNorm")


def layer(available: Sequence[Layer], name: str) -> Layer:
    """The layer of that name.

    Raises:
        InvalidInput: the classifier has none.
    """
    for candidate in available:
        if candidate.name == name:
            return candidate
    raise InvalidInput(f"This classifier has no layer called {name[:60]!r} that makes maps.")


@torch.no_grad()
def feature_maps(classifier: Classifier, names: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """What each of those layers makes of images N×C×H×W in [0, 1]: N×channels×h×w by the layer's name, on the CPU.

    Raises:
        InvalidInput: a layer makes no maps.
    """
    network = twin(classifier.one_draw())
    maps: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        maps.setdefault(name, as_maps(output).float().cpu().clone())  # a function behind may write in place

    for name in names:
        network.network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: keep(name, output)
        )
    network(images)
    return {name: maps[name] for name in names}
