"""Certificates by name; a file in this folder, or in a folder of MIRAGE_PLUGINS, adds one by defining it."""

from __future__ import annotations

import sys

from core.certify.base import REGISTRY, Certificate, Certified, Run
from core.certify.flow import FlowCertificate
from core.certify.linf import LinfCertificate
from core.certify.smoothing import Smoothing
from core.registry import load_package

load_package(sys.modules[__name__])

get, build, names = REGISTRY.get, REGISTRY.build, REGISTRY.names

__all__ = [
    "REGISTRY",
    "Certificate",
    "Certified",
    "FlowCertificate",
    "LinfCertificate",
    "Run",
    "Smoothing",
    "build",
    "get",
    "names",
]
