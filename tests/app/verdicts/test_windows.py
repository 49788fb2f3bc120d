"""Windows' headline."""

from __future__ import annotations

from math import nan

import pytest

from app.verdicts.windows import windows_verdict
from tests.app.verdicts.made import CLASSES, prediction_of

WRONG = "The classifier was wrong before any attack: it took this cat for an astronaut (60 %)."


@pytest.mark.parametrize(
    ("kept", "recall", "seen", "known", "text"),
    [
        (0, 0.0, (0, 1, 1), True, "No window stands out: nothing is smoothed, and the classifier sees an astronaut."),
        (1, 0.94, (0, 1, 0), True, "One window stands out; it holds 94 % of the patch. Smoothing it returns the cat."),
        (13, None, (0, 1, 0), True, "13 windows stand out. Smoothing them returns the cat."),
        (2, nan, (0, 1, 0), True, "Two windows stand out. Smoothing them returns the cat."),
        (2, 0.0, (0, 0, 0), True, "Two windows stand out; they hold 0 % of the patch. Smoothing them keeps the cat."),
        (
            2,
            None,
            (0, 0, 2),
            True,
            "Two windows stand out. Smoothing them loses the cat: the classifier sees a coffee.",
        ),
        (
            2,
            None,
            (0, 1, 2),
            True,
            "Two windows stand out. Smoothing them does not return the cat: the classifier sees a coffee.",
        ),
        (
            2,
            None,
            (1, 1, 0),
            True,
            f"{WRONG} Two windows stand out. With them smoothed, the classifier sees a cat.",
        ),
        (
            0,
            None,
            (1, 2, 2),
            True,
            f"{WRONG} No window stands out: nothing is smoothed, and the classifier sees a coffee.",
        ),
        (
            2,
            None,
            (0, 1, 0),
            False,
            "Two windows stand out. Smoothing them returns the clean prediction (a cat).",
        ),
    ],
)
def test_the_headline_is_true(
    kept: int, recall: float | None, seen: tuple[int, int, int], known: bool, text: str
) -> None:
    clean, attacked, smoothed = map(prediction_of, seen)
    assert windows_verdict(kept, recall, (clean, attacked, smoothed), CLASSES, 0, known) == text
