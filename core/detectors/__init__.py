"""Detectors by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys

from core.detectors.base import REGISTRY, Detector, flagged, threshold_at
from core.domains.base import Domain
from core.registry import load_package

load_package(sys.modules[__name__])

from core.detectors.aware import DetectorAwareClassifier  # noqa: E402  (after the registry is filled)
from core.detectors.feature_squeezing import FeatureSqueezing  # noqa: E402
from core.detectors.mask_disagreement import ConvolutionalMasks, MaskDisagreement  # noqa: E402

get, build = REGISTRY.get, REGISTRY.build


def names(domain: Domain | None = None) -> tuple[str, ...]:
    """The detectors by name, mask disagreement first, then in the order of their titles; of a domain, those that fit it."""
    fitting = (name for name in REGISTRY.names() if domain is None or get(name).fits(domain))
    return tuple(sorted(fitting, key=lambda name: name != MaskDisagreement.name))


__all__ = [
    "REGISTRY",
    "ConvolutionalMasks",
    "Detector",
    "DetectorAwareClassifier",
    "FeatureSqueezing",
    "MaskDisagreement",
    "build",
    "flagged",
    "get",
    "names",
    "threshold_at",
]
