"""Loops that numba compiles; where it is not installed, as it need not be beside a GPU, operations on tensors take their place."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def compiled(name: str) -> Any:
    """This room's module of that name, or None without numba. Asked for when it is needed: the import takes a second."""
    try:
        return import_module(f"core.defenses.{name}")
    except ImportError:
        return None
