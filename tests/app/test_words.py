"""Numbers and sentences."""

from __future__ import annotations

import pytest

from app import words
from core import Recipe, run
from core.recipe import Method


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.97, "97 %"),
        (0.994, "99.4 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
        (0.005, "0.5 %"),
        (0.0001, "0.1 %"),
        (0.0, "0 %"),
        (0.012, "1 %"),
    ],
)
def test_confidences(share: float, text: str) -> None:
    assert words.per_cent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0008, "0.8 ms"), (0.042, "42 ms"), (3.21, "3.2 s"), (42.3, "42 s"), (125, "2 min 5 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_small_words() -> None:
    assert words.budget(8 / 255) == "8/255"
    assert words.count_of(71, 500) == "71 of 500 (14 %)"
    assert (words.a("cat"), words.a("astronaut")) == ("a cat", "an astronaut")
    assert (words.plural(1, "step"), words.plural(2, "step")) == ("1 step", "2 steps")


def test_a_patch_is_told_by_its_area() -> None:
    recipe = Recipe(attack=Method(name="lavan", params={"area": 0.25, "steps": 60}), defenses=())
    outcome = run(recipe, device="cpu")
    assert words.change(outcome) == "changing 25 % of the picture"


def test_verdicts_of_the_odd_cases() -> None:
    outcome = run(Recipe(attack=Method(name="pgd", params={"steps": 2, "eps": 0.0001})), device="cpu")
    attacked = outcome.attacked

    def with_(**changes: object) -> str:
        return words.attack_verdict(outcome.model_copy(update={"attacked": attacked.model_copy(update=changes)}))

    assert with_().startswith("2 steps were not enough: it is still a cat (")
    assert with_(iterations=1).startswith("1 step was not enough")
    assert with_(stopped=True).startswith("Stopped after 2 steps: it is still a cat")
    assert "rounded to 8 bits" in with_(flips_back=True)
    wrong = outcome.model_copy(update={"before": outcome.before.model_copy(update={"label": 1})})
    assert (
        words.attack_verdict(wrong) == "The classifier was wrong before any attack: it took this cat for an astronaut."
    )
    assert "did not fool" in words.defend_verdict(outcome)
