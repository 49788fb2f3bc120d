"""Loops that numba compiles; where it is not installed, as it need not be beside a GPU, operations on tensors take their place."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor


def compiled(name: str, values: Tensor) -> Any:
    """The module of this room of that name, or None where it cannot take these values: without numba, not on a CPU, in another
    type."""
    usual = values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)
    return _imported(name) if usual else None


@cache
def _imported(name: str) -> Any:
    """Asked for when it is needed: the import takes a second."""
    try:
        return import_module(f"core.accelerated.{name}")
    except ImportError:
        return None
