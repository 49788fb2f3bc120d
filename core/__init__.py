"""Mirage's engine: images, classifiers, attacks, defenses. Knows no screen; usable from a notebook or a shell."""

from core import attacks, certify, defenses, detectors, domains
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.plugins import load_plugins
from core.recipe import Outcome, Recipe, run
from core.systems import Ensemble, Guarded

__all__ = [
    "Classifier",
    "Ensemble",
    "Guarded",
    "InvalidInput",
    "Outcome",
    "Recipe",
    "attacks",
    "certify",
    "defenses",
    "detectors",
    "domains",
    "run",
]

load_plugins()  # last: they may use all of it
