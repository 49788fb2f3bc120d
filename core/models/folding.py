"""Batch normalization as a part of the convolution before it: the same function in fewer passes over memory."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.models.copying import copied


def fuse_conv_bn(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `network` in eval mode that says what it says, N×C×H×W to N×K, up to rounding.

    Which convolution a batch norm follows is seen on the `example`. Where the logits then differ, as they do if something else looks at
    what a convolution says, nothing is fused. `network` itself, its mode and its weights, stays as it is.
    """
    folded = copied(network)
    pairs = _pairs(folded, example)
    if not pairs:
        return folded
    with torch.no_grad():
        before = folded(example)
        for convolution, norm in pairs:
            fused = fuse_conv_bn_eval(folded.get_submodule(convolution), folded.get_submodule(norm))  # type: ignore[arg-type, type-var]
            folded.set_submodule(convolution, fused)
            folded.set_submodule(norm, nn.Identity())
        after = folded(example)
    return folded if bool(((after - before).abs() <= 1e-4 * before.abs().max()).all()) else copied(network)


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """The names of each convolution and of the batch norm that takes what it says. Hooks, not torch.fx: that changes every module
    of the process while it looks, also those that another user's attack is using."""
    said: list[tuple[str, Tensor]] = []
    pairs: list[tuple[str, str]] = []

    def convolved(name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        said.append((name, output))

    def normed(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pairs.extend((before, name) for before, output in said if output is inputs[0])

    hooks = [
        module.register_forward_hook(partial(convolved, name))
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(partial(normed, name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    once = [name for pair in pairs for name in pair]
    return [pair for pair in pairs if once.count(pair[0]) == once.count(pair[1]) == 1]
