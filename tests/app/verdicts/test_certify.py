"""What Certify says."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from app.verdicts.certify import certified_set_verdict, certify_verdict, promise_text
from core import certify
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
        (image(), False, True, "A cat is certified up to 0.1 (L∞). An attack of at most 0.2 changes it."),
        (
            image(attacked=(1.0, 0.5, 0.1)),
            False,
            True,
            "A cat is certified up to 0.1 (L∞). No attack tried up to 0.2 changes it.",
        ),
        (image(radius=nan, attacked=()), False, True, "A cat is certified up to at least 0.1 (L∞)."),
        (
            replace(image(radius=nan, attacked=()), bounds={"bound": np.array([1.0, -0.2, -3.0])}),
            False,
            True,
            "A cat is not certified at 0.1.",
        ),
        (image(radius=0.0), False, True, "No radius is certified for a cat. An attack of at most 0.2 changes it."),
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


def test_only_what_is_certified_is_promised() -> None:
    certificate = certify.LinfCertificate(eps=0.2)
    said = promise_text(image(), certificate, "Net", 0, "")
    assert said.startswith("Promised: ") and "for ε up to 0.1." in said and "between bound and best attack" in said
    for result in (image(radius=0.0), image(predicted=1), image(predicted=-1)):
        assert promise_text(result, certificate, "Net", 0, "").startswith("Nothing is promised for this image.")
    smoothed = promise_text(image(attacked=()), certify.Smoothing(alpha=0.01), "Net", 0, "")
    assert "not about Net without noise" in smoothed and "at most 0.01" in smoothed and "between bound" not in smoothed


def test_a_set() -> None:
    certified, attacked = (tuple(Proportion(n, 10) for n in counts) for counts in ((9, 5, 2), (9, 8, 6)))
    result = CertifiedSet("L∞", BUDGETS, certified, attacked, "PGD", 0)
    assert certified_set_verdict(result, "") == (
        "2 of 10 (20 %) images are certified at 0.2 (L∞); under attack 6 of 10 (60 %) stay right."
    )
    smoothed = CertifiedSet("L2", BUDGETS, certified, (), "", 3)
    assert certified_set_verdict(smoothed, "") == "5 of 10 (50 %) images are certified at 0.1 (L2); it abstains on 3."
    shorter = replace(smoothed, budgets=BUDGETS / 10, abstained=0)
    assert certified_set_verdict(smoothed, "", (shorter,)).startswith("9 of 10 (90 %) images are certified at 0 (L2)")
    assert certified_set_verdict(shorter, "", (smoothed,)).startswith(
        "5 of 10 (50 %) images are certified at 0.01 (L2)"
    )
