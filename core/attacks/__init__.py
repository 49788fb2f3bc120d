"""Attacks by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys

from core.attacks.base import REGISTRY, Attack, Criterion, Step
from core.attacks.result import AttackResult
from core.registry import load_package

load_package(sys.modules[__name__])

from core.attacks.apgd import APGDCE, APGDT  # noqa: E402  (after the registry is filled)
from core.attacks.bounded_flow import BoundedFlow  # noqa: E402
from core.attacks.cw import CW  # noqa: E402
from core.attacks.deepfool import DeepFool  # noqa: E402
from core.attacks.fgsm import FGSM  # noqa: E402
from core.attacks.jsma import JSMA  # noqa: E402
from core.attacks.lavan import LaVAN  # noqa: E402
from core.attacks.momentum import BIM, MIFGSM  # noqa: E402
from core.attacks.noise import GaussianNoise, UniformNoise  # noqa: E402
from core.attacks.patch import UniversalPatch  # noqa: E402
from core.attacks.pgd import PGD  # noqa: E402
from core.attacks.square import Square  # noqa: E402
from core.attacks.stadv import StAdv  # noqa: E402
from core.attacks.worst_case import WorstCase  # noqa: E402

names, get, build = REGISTRY.names, REGISTRY.get, REGISTRY.build
__all__ = [
    "APGDCE",
    "APGDT",
    "BIM",
    "CW",
    "FGSM",
    "JSMA",
    "MIFGSM",
    "PGD",
    "REGISTRY",
    "Attack",
    "AttackResult",
    "BoundedFlow",
    "Criterion",
    "DeepFool",
    "GaussianNoise",
    "LaVAN",
    "Square",
    "StAdv",
    "Step",
    "UniformNoise",
    "UniversalPatch",
    "WorstCase",
    "build",
    "get",
    "names",
]
