"""Masks' headline."""

from __future__ import annotations

import pytest

from app.verdicts.masks import masks_verdict
from tests.app.verdicts.made import CLASSES, prediction_of

WRONG = "The classifier was wrong before any attack: it took this cat for an astronaut (60 %)."
FLAGGED = "they disagree, so the image is flagged."


@pytest.mark.parametrize(
    ("seen", "read", "known", "text"),
    [
        ((0, 0), (0, 0), True, "The attack did not fool the classifier: it sees a cat, and the mask reads as a cat."),
        (
            (0, 0),
            (0, 2),
            True,
            f"The attack did not fool the classifier: it sees a cat, but the mask reads as a coffee: {FLAGGED}",
        ),
        (
            (0, 1),
            (0, 0),
            True,
            f"The classifier sees an astronaut; its attention mask still reads as a cat, which it is: {FLAGGED}",
        ),
        (
            (0, 1),
            (0, 0),
            False,
            f"The classifier sees an astronaut; its attention mask still reads as a cat: {FLAGGED}",
        ),
        (
            (0, 1),
            (2, 0),
            True,
            f"The classifier sees an astronaut; its attention mask reads as a cat, which it is: {FLAGGED}",
        ),
        (
            (0, 1),
            (2, 2),
            True,
            f"The classifier sees an astronaut; its attention mask still reads as a coffee: {FLAGGED}",
        ),
        (
            (0, 1),
            (0, 1),
            True,
            "The classifier sees an astronaut, and its attention mask reads as an astronaut too: the attack goes unnoticed.",
        ),
        (
            (1, 2),
            (1, 0),
            True,
            f"{WRONG} In the attacked image it sees a coffee; its attention mask reads as a cat, which it is: {FLAGGED}",
        ),
    ],
)
def test_the_headline_is_true(seen: tuple[int, int], read: tuple[int, int], known: bool, text: str) -> None:
    assert masks_verdict(prediction_of(seen[0]), prediction_of(seen[1]), read, CLASSES, 0, known) == text
