"""What Certify says."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from app.verdicts.certify import certified_set_verdict, certify_verdict
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.proportion import Proportion

CLASSES = ("cat", "owl")
BUDGETS = np.array([0.0, 0.1, 0.2])
FALLING = (1.0, 0.5, -1.0)


def image(predicted: int = 0, radius: float = 0.1, attacked: tuple[float, ...] = FALLING) -> CertifiedImage:
    bounds = {"bound": np.array([1.0, 0.2, -3.0])}
    return CertifiedImage(predicted, radius, "L∞", BUDGETS, bounds, np.array(attacked), "PGD")


@pytest.mark.parametrize(
    ("result", "smoothed", "known", "sentence"),
    [
        (image(), False, True, "A cat is certified up to 0.1 (L∞). An attack at 0.2 changes it."),
        (
            image(attacked=(1.0, 0.5, 0.1)),
            False,
            True,
            "A cat is certified up to 0.1 (L∞). No attack tried up to 0.2 changes it.",
        ),
        (image(radius=nan, attacked=()), False, True, "A cat is certified up to at least 0.1 (L∞)."),
        (image(radius=0.0), False, True, "No radius is certified for a cat. An attack at 0.2 changes it."),
        (
            image(predicted=-1),
            True,
            True,
            "The smoothed classifier abstains: no class is sure to be the likeliest under this noise.",
        ),
        (
            image(predicted=1),
            False,
            True,
            "The classifier is wrong without any attack: it sees an owl, not a cat. Nothing is certified.",
        ),
        (
            image(predicted=1),
            True,
            False,
            "The smoothed classifier sees an owl, and without noise a cat. The true class is unknown, so nothing is certified.",
        ),
    ],
)
def test_one_image(result: CertifiedImage, smoothed: bool, known: bool, sentence: str) -> None:
    assert certify_verdict(result, smoothed, CLASSES, 0, known, "") == sentence


def test_a_set() -> None:
    certified, attacked = (tuple(Proportion(n, 10) for n in counts) for counts in ((9, 5, 2), (9, 8, 6)))
    result = CertifiedSet("L∞", BUDGETS, certified, attacked, "PGD", 0)
    assert certified_set_verdict(result, "") == (
        "2 of 10 (20 %) images are certified at 0.2 (L∞); under attack 6 of 10 (60 %) stay right."
    )
    smoothed = CertifiedSet("L2", BUDGETS, certified, (), "", 3)
    assert certified_set_verdict(smoothed, "") == "5 of 10 (50 %) images are certified at 0.1 (L2); it abstains on 3."
