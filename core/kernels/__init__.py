"""Loops that numba compiles; where it is not installed, as it need not be beside a GPU, operations on tensors take their place."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def compiled(name: str) -> Any:
    """The module of this room of that name, or None without numba. Asked for when it is needed: the import takes a second."""
    try:
        return import_module(f"core.kernels.{name}")
    except ImportError:
        return None
