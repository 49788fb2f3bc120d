"""What a card says in one number: accuracy on clean images, and under the strongest attack that it names."""

from __future__ import annotations

import re

from core.models.artifacts import Artifact
from core.models.cards import Card, Metric

WORST_CASE = "worst case of APGD and Square"
CLEAN = ("right on the test images", "clean test images, right behind it")


def clean_metric(card: Card) -> Metric | None:
    """The accuracy on clean images; of a denoiser, that of its classifier behind it. None where the card has none."""
    if card.kind == "mask_generator":
        return None
    return next((metric for metric in card.metrics if metric.what in CLEAN), None)


def robust_metric(card: Card) -> Metric | None:
    """The accuracy under attack: the worst case where it was measured, else the lowest one under PGD or APGD.

    A denoiser's is that of the adaptive attacker, who knows it; what the grey box gives is no robustness. None where the card has none.
    """
    if card.kind == "mask_generator":
        return None
    adaptive = card.kind == "denoiser"
    known = [m for m in card.metrics if m.correct is not None and m.what.endswith(", adaptive") == adaptive]
    worst = [metric for metric in known if metric.what.startswith(WORST_CASE)]
    gradient = [metric for metric in known if metric.what.startswith(("PGD", "APGD"))]
    return min(worst or gradient, key=lambda metric: metric.value, default=None)


def file_size(artifact: Artifact) -> int | None:
    """The bytes of the weights; None where their file is missing."""
    try:
        return artifact.weights.stat().st_size
    except OSError:
        return None


def seed_of(card: Card) -> int | None:
    """The seed of the command that trained it; None where the command names none."""
    match = re.search(r"--seed[ =](\d+)", card.command)
    return int(match.group(1)) if match else None
