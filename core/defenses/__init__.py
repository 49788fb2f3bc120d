"""Defenses by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys

from core.declaration import load_package
from core.defenses.base import REGISTRY, Defense
from core.defenses.chain import Chain

load_package(sys.modules[__name__])

from core.defenses.bilateral import Bilateral  # noqa: E402  (after the registry is filled)
from core.defenses.bitdepth import BitDepth  # noqa: E402
from core.defenses.gaussian import Gaussian  # noqa: E402
from core.defenses.jpeg import JPEG  # noqa: E402
from core.defenses.lgs import LGS  # noqa: E402
from core.defenses.median import Median  # noqa: E402
from core.defenses.resizing import RandomResizePad  # noqa: E402
from core.defenses.spatial import SpatialSmoothing  # noqa: E402
from core.defenses.tv import TVM, TotalVariation  # noqa: E402

names, get, build = REGISTRY.names, REGISTRY.get, REGISTRY.build
__all__ = [
    "JPEG",
    "LGS",
    "REGISTRY",
    "TVM",
    "Bilateral",
    "BitDepth",
    "Chain",
    "Defense",
    "Gaussian",
    "Median",
    "RandomResizePad",
    "SpatialSmoothing",
    "TotalVariation",
    "build",
    "get",
    "names",
]
