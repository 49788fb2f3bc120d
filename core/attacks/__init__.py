"""Attacks by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys

from core.attacks.base import REGISTRY, Attack, AttackResult, Goal, Step
from core.declaration import load_package, load_plugins

load_package(sys.modules[__name__])

from core.attacks.fgsm import FGSM  # noqa: E402  (after the registry is filled)
from core.attacks.lavan import LaVAN  # noqa: E402
from core.attacks.pgd import PGD  # noqa: E402

names, get, build = REGISTRY.names, REGISTRY.get, REGISTRY.build
__all__ = ["FGSM", "PGD", "REGISTRY", "Attack", "AttackResult", "Goal", "LaVAN", "Step", "build", "get", "names"]

load_plugins()
