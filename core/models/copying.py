"""Copies of networks: one that shares nothing, and one that shares the weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from core.inputs import InvalidInput

M = TypeVar("M", bound=nn.Module)


def twin(module: M) -> M:
    """A copy with modules of its own and the very same weights: hooks on it are nobody else's, and it costs no memory."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return deepcopy(module, shared)


def copied(network: nn.Module) -> nn.Module:
    """A copy of a network with weights and modules of its own, in eval mode; the network stays as it is.

    Raises:
        InvalidInput: the network holds something that cannot be copied.
    """
    # A tensor that was computed, as torch.nn.utils.weight_norm leaves one behind, cannot be copied with its graph.
    computed: dict[int, Any] = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and value.grad_fn is not None
    }
    try:
        with torch.inference_mode(False):  # weights made under inference_mode take part in no gradient; their copy does
            return deepcopy(network, computed).eval()
    except Exception as error:  # the network's own code runs here
        raise InvalidInput(f"{type(network).__name__} cannot be copied: {first_line(error)}.") from error


def first_line(error: Exception) -> str:
    """What an error says, as a part of a sentence."""
    said = str(error).strip().splitlines()
    return (said[0] if said else type(error).__name__).rstrip(".")[:200]
