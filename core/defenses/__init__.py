"""Defenses by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from core.defenses.base import REGISTRY, Defense
from core.defenses.chain import Chain
from core.domains.base import Domain
from core.registry import load_package

load_package(sys.modules[__name__])

from core.defenses.bilateral import Bilateral  # noqa: E402  (after the registry is filled)
from core.defenses.bitdepth import BitDepth  # noqa: E402
from core.defenses.dkn import DKN  # noqa: E402
from core.defenses.feature_loss import FeatureLossAutoencoder  # noqa: E402
from core.defenses.gaussian import Gaussian  # noqa: E402
from core.defenses.hgd import HGD  # noqa: E402
from core.defenses.jpeg import JPEG  # noqa: E402
from core.defenses.learned import LearnedDefense  # noqa: E402
from core.defenses.lgs import LGS  # noqa: E402
from core.defenses.median import Median  # noqa: E402
from core.defenses.resizing import RandomResizePad  # noqa: E402
from core.defenses.spatial import SpatialSmoothing  # noqa: E402
from core.defenses.tv import TVM, TotalVariation  # noqa: E402

get, build = REGISTRY.get, REGISTRY.build


def names(domain: Domain | None = None) -> tuple[str, ...]:
    """The defenses by name, in the order of their titles; of a domain, those that fit its images."""
    return tuple(name for name in REGISTRY.names() if domain is None or get(name).fits(domain))


def values_for(domain: Domain, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The given parameters, and the domain's defaults where they differ from those that the defense declares."""
    declared = {parameter.name: parameter.default for parameter in get(name).parameters()}
    own = {p.name: p.default for p in get(name).parameters_for(domain) if p.default != declared[p.name]}
    return {**own, **params}


def build_for(domain: Domain, name: str, params: Mapping[str, Any]) -> Defense:
    """The defense with these parameters, and the domain's defaults for the others.

    Raises:
        InvalidInput: there is no such defense, it does not take these parameters, or it is not for this domain.
    """
    defense = build(name, values_for(domain, name, params))
    defense.check_domain(domain)
    return defense


__all__ = [
    "DKN",
    "HGD",
    "JPEG",
    "LGS",
    "REGISTRY",
    "TVM",
    "Bilateral",
    "BitDepth",
    "Chain",
    "Defense",
    "FeatureLossAutoencoder",
    "Gaussian",
    "LearnedDefense",
    "Median",
    "RandomResizePad",
    "SpatialSmoothing",
    "TotalVariation",
    "build",
    "build_for",
    "get",
    "names",
    "values_for",
]
