"""Objectives by name, one file per family; a file in this folder adds one by defining it."""

from __future__ import annotations

import sys

from core.registry import load_package
from core.training.objectives.base import OBJECTIVES, Batch, Networks, Objective, Terms, objective

load_package(sys.modules[__name__])

__all__ = ["OBJECTIVES", "Batch", "Networks", "Objective", "Terms", "objective"]
