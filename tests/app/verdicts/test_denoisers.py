"""Denoisers' headline."""

from __future__ import annotations

import numpy as np
import pytest

from app.verdicts.denoisers import denoiser_verdict
from core.analysis.denoising import DenoisedImage, Denoising
from tests.app.verdicts.made import CLASSES, CLEAN, prediction_of

NOTHING = np.zeros((8, 8, 3), np.float32)


def denoising(before: int, after: int) -> Denoising:
    """An attacked cat that the classifier sees as `before`, and behind the denoiser as `after`."""
    clean = DenoisedImage(CLEAN, CLEAN, NOTHING, prediction_of(0), prediction_of(0))
    attacked = DenoisedImage(CLEAN, CLEAN, NOTHING, prediction_of(before), prediction_of(after))
    return Denoising(clean, attacked, NOTHING, NOTHING, 0.5, 0.25)


@pytest.mark.parametrize(
    ("before", "after", "known", "begin"),
    [
        (1, 0, True, "The denoiser restores the cat;"),
        (0, 0, True, "The denoiser keeps the cat;"),
        (1, 0, False, "The denoiser restores the clean prediction (a cat);"),
        (1, 1, True, "The denoiser fails: still astronaut;"),
    ],
)
def test_the_headline_of_a_denoiser(before: int, after: int, known: bool, begin: str) -> None:
    said = denoiser_verdict(denoising(before, after), CLASSES, 0, known)
    assert said == f"{begin} it removes 25 % of the perturbation's energy."
