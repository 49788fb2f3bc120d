"""The layers of a classifier that can be looked at, and what they say of pictures, without a trace left in the classifier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TypeVar

import torch
from torch import Tensor, nn

from core.inputs import BadInput
from core.models.classifier import Classifier

M = TypeVar("M", bound=nn.Module)

_LEAVES = (nn.Conv2d, nn.LayerNorm, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)


@dataclass(frozen=True)
class Layer:
    """One layer: its dotted name inside the network, and the maps it makes of one picture."""

    name: str
    kind: str  # the class of its module: Conv2d, ReLU, SEBlock
    channels: int
    height: int
    width: int

    @property
    def title(self) -> str:
        return f"{self.name}: {self.kind}, {self.channels} × {self.height} × {self.width}"


def twin(module: M) -> M:
    """A copy with modules of its own and the very same weights: hooks on it are nobody else's, and it costs no memory."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)


def as_maps(output: Tensor) -> Tensor:
    """A layer's output as maps N×C×h×w: also of tokens N×L×C (a class token is left out) and of N×h×w×C.

    Raises:
        BadInput: it is neither.
    """
    if output.dim() == 3:
        count = output.shape[1]
        tokens = output if isqrt(count) ** 2 == count else output[:, 1:]
        side = isqrt(tokens.shape[1])
        if side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    if output.dim() == 4:
        return output.permute(0, 3, 1, 2) if channels_last(output) else output
    raise BadInput("This layer makes no maps; choose another one.")


def channels_last(output: Tensor) -> bool:
    """Whether an output lists its channels behind its places, as transformers do; pictures are square."""
    if output.dim() == 3:
        return True
    return output.shape[1] == output.shape[2] != output.shape[3]


def layers(classifier: Classifier) -> tuple[Layer, ...]:
    """The layers of a classifier that make maps of at least 2×2, in the order in which they work."""
    found: dict[str, Layer] = {}
    network = twin(classifier)
    names = {id(module): name for name, module in network.network.named_modules() if name}

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        name, leaf = names[id(module)], not list(module.children())
        if not isinstance(output, Tensor) or (leaf and not isinstance(module, _LEAVES)):
            return
        try:
            maps = as_maps(output)
        except BadInput:
            return
        _, channels, height, width = maps.shape
        if min(height, width) >= 2 and height == width:
            found.setdefault(name, Layer(name, type(module).__name__, channels, height, width))

    for module in network.network.modules():
        if id(module) in names:
            module.register_forward_hook(note)
    with torch.no_grad():
        network(torch.full((1, classifier.channels, classifier.size, classifier.size), 0.5))
    return tuple(found.values())


def by_depth(found: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers from the picture to the logits, shortcuts left out: convolutions, or a transformer's norms."""
    convolutions = tuple(
        layer
        for layer in found
        if layer.kind == "Conv2d" and not {"shortcut", "downsample"} & set(layer.name.split("."))
    )
    return convolutions if len(convolutions) > 2 else tuple(layer for layer in found if layer.kind == "LayerNorm")


def layer(found: Sequence[Layer], name: str) -> Layer:
    """The layer of that name.

    Raises:
        BadInput: the classifier has none.
    """
    for one in found:
        if one.name == name:
            return one
    raise BadInput(f"This classifier has no layer called {name[:60]!r} that makes maps.")


@torch.no_grad()
def feature_maps(classifier: Classifier, names: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """What each of those layers makes of pictures N×C×H×W in [0, 1]: N×channels×h×w by the layer's name, on the CPU.

    Raises:
        BadInput: a layer makes no maps.
    """
    network = twin(classifier)
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        kept.setdefault(name, as_maps(output).float().cpu().clone())  # a function behind may write in place

    for name in names:
        network.network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: keep(name, output)
        )
    network(images)
    return {name: kept[name] for name in names}
