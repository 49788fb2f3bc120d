"""Outcomes put together by hand: small arrays, classes 0 cat, 1 astronaut, 2 coffee."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.recipe import AttackOutcome, DefendedPrediction, DefenseOutcome, Outcome, Prediction, Recipe, Trace
from core.recipe.norms import norms

CLASSES = ("cat", "astronaut", "coffee")
CLEAN = np.zeros((8, 8, 3), np.uint8)
MOVED = np.full((8, 8, 3), 8, np.uint8)


def prediction_of(label: int, confidence: float = 0.6) -> Prediction:
    return Prediction(label=label, confidence=confidence, top=((label, confidence),), true_confidence=0.1)


def attacked(label: int, *, success: bool | None = None, moved: np.ndarray = MOVED, **values: object) -> AttackOutcome:
    """An attack on a cat after which the classifier sees `label`."""
    given: dict[str, Any] = {
        "method": "PGD",
        "adversarial": moved,
        "prediction": prediction_of(label),
        "success": label != 0 if success is None else success,
        "steps_to_success": 3,
        "iterations": 40,
        "seconds": 1.0,
        "stopped": False,
        "target": None,
        "norms": norms(CLEAN, moved),
        "lost_to_quantization": False,
        "trace": Trace(numbers=(0,), snapshot_steps=(0,), snapshots=(CLEAN,)),
    }
    return AttackOutcome(**{**given, **values})


def guard(label: int, attack: AttackOutcome | None = None, true: int = 0) -> DefendedPrediction:
    return DefendedPrediction(defended=MOVED, prediction=prediction_of(label), recovered=label == true, attack=attack)


def column(
    name: str, grey: int | None, adaptive: int | None = None, clean: int = 0, *, cut: bool = False
) -> DefenseOutcome:
    """A defense behind which the classifier sees those classes; `cut` where the adaptive attack was stopped."""
    return DefenseOutcome(
        defense=name,
        short_title=name,
        clean=guard(clean),
        grey=None if grey is None else guard(grey),
        adaptive=None if adaptive is None else guard(adaptive, attacked(adaptive, stopped=cut)),
        seconds=0.001,
    )


def outcome(
    after: AttackOutcome, *columns: DefenseOutcome, before: int = 0, known: bool = True, recipe: Recipe | None = None
) -> Outcome:
    return Outcome(
        recipe=recipe or Recipe(),
        domain="photos",
        classifier="photonet",
        classes=CLASSES,
        device="cpu",
        versions="",
        label=0,
        label_known=known,
        clean=CLEAN,
        clean_prediction=prediction_of(before),
        attacked=after,
        columns=columns,
    )
