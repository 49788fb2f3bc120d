"""Numbers and sentences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from app import text
from app.verdicts.defend import defend_verdict
from core import Recipe, domains, run
from core.recipe import AttackOutcome, Method, Outcome, Prediction, Trace
from core.recipe.norms import norms


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (None, "–"),
        (float("nan"), "–"),
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
def test_confidences(share: float | None, expected: str) -> None:
    assert text.per_cent(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 ms"),
        (0.000037, "37 µs"),
        (0.0008, "0.8 ms"),
        (0.042, "42 ms"),
        (3.21, "3.2 s"),
        (42.3, "42 s"),
        (125, "2 min 5 s"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


def test_small_words() -> None:
    assert text.budget(8 / 255) == "8/255"
    assert text.count_of(71, 500) == "71 of 500 (14 %)"
    assert [text.a(name) for name in ("cat", "astronaut", "7", "8", "18")] == [
        "a cat",
        "an astronaut",
        "a 7",
        "an 8",
        "an 18",
    ]
    assert [text.joined(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert (text.plural(1, "step"), text.plural(2, "step")) == ("1 step", "2 steps")


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("cat", "a cat"), ("owl", "an owl"), ("8", "an 8"), ("3", "a 3"), ("glass", "a glass"), ("hummus", "a hummus")]
    + [(name, f'"{name}"') for name in ("coins", "galaxies", "grass", "gravel", "tissue", "sunglasses")],
)
def test_articles(name: str, phrase: str) -> None:
    assert text.a(name) == phrase


def test_a_patch_is_told_by_its_area() -> None:
    recipe = Recipe(attack=Method(name="lavan", params={"area": 0.25, "steps": 60}), defenses=())
    outcome = run(recipe, device="cpu")
    assert text.change(outcome) == "changing 25 % of the image"


def test_verdicts_of_the_odd_cases() -> None:
    outcome = run(Recipe(attack=Method(name="pgd", params={"steps": 2, "eps": 0.0001})), device="cpu")
    attacked = outcome.attacked

    def with_(**changes: object) -> str:
        return text.attack_verdict(outcome.model_copy(update={"attacked": attacked.model_copy(update=changes)}))

    assert with_().startswith("2 steps were not enough: it is still a cat (")
    assert with_(iterations=1).startswith("1 step was not enough")
    assert with_(stopped=True).startswith("Stopped after 2 steps: it is still a cat")
    assert "rounded to 8 bits" in with_(lost_to_quantization=True)
    wrong = outcome.model_copy(update={"clean_prediction": outcome.clean_prediction.model_copy(update={"label": 1})})
    assert re.match(
        r"The classifier was wrong before any attack: it took this cat for an astronaut \(.*\)\. 2 steps were not enough: ",
        text.attack_verdict(wrong),
    )
    assert "did not fool" in defend_verdict(outcome)


def _outcome(before: int, after: int, label: int = 0, *, known: bool = True, **attacked: object) -> Outcome:
    """An outcome of the photographs put together by hand: classes 0 cat, 1 astronaut, 2 coffee."""
    clean, moved = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 8, np.uint8)
    said = {n: Prediction(label=n, confidence=0.6, top=((n, 0.6),), true_confidence=0.1) for n in range(3)}
    values: dict[str, Any] = {
        "method": "PGD",
        "adversarial": moved,
        "prediction": said[after],
        "success": True,
        "steps_to_success": 3,
        "iterations": 40,
        "seconds": 1.0,
        "stopped": False,
        "target": None,
        "norms": norms(clean, moved),
        "lost_to_quantization": False,
        "trace": Trace(numbers=(0,), snapshot_steps=(0,), snapshots=(clean,)),
    }
    values |= attacked
    return Outcome(
        recipe=Recipe(target="" if values["target"] is None else domains.get("photos").classes[values["target"]]),
        domain="photos",
        classifier="photonet",
        classes=domains.get("photos").classes,
        device="cpu",
        versions="",
        label=label,
        label_known=known,
        clean=clean,
        clean_prediction=said[before],
        attacked=AttackOutcome(**values),
    )


RANDOM = Trace(numbers=(0,), snapshot_steps=(0,), snapshots=(np.ones((8, 8, 3), np.uint8),))


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            _outcome(0, 1),
            "It was a cat (60 %). The classifier was fooled after 3 steps. After 40 steps, "
            "changing no pixel by more than 8/255, "
            "the classifier sees an astronaut (60 %).",
        ),
        (
            _outcome(0, 1, steps_to_success=40),
            "It was a cat (60 %). After 40 steps, changing no pixel by more than 8/255, the classifier sees an astronaut (60 %).",
        ),
        (
            _outcome(0, 1, steps_to_success=0, trace=RANDOM),
            "It was a cat (60 %). The classifier was fooled at the random start, before the first step. After 40 steps, "
            "changing no pixel by more than 8/255, the classifier sees an astronaut (60 %).",
        ),
        (
            _outcome(0, 1, known=False),
            "The classifier saw a cat (60 %). The classifier was fooled after 3 steps. After 40 steps, "
            "changing no pixel by more than 8/255, "
            "the classifier sees an astronaut (60 %).",
        ),
        (
            _outcome(1, 2, target=2),
            "The classifier was wrong before any attack: it took this cat for an astronaut (60 %). The classifier was fooled "
            "after 3 steps. After 40 steps, changing no pixel by more than 8/255, the classifier sees a coffee (60 %), the target.",
        ),
        (
            _outcome(1, 1, target=2, success=False),
            "The classifier was wrong before any attack: it took this cat for an astronaut (60 %). 40 steps were not enough: "
            "it is seen as an astronaut (60 %), not a coffee. Try more steps or a larger eps.",
        ),
        (
            _outcome(1, 1, steps_to_success=0),
            "The classifier was wrong before any attack: it took this cat for an astronaut (60 %). After 40 steps, "
            "changing no pixel by more than 8/255, the classifier sees an astronaut (60 %).",
        ),
        (
            _outcome(
                1,
                1,
                steps_to_success=0,
                iterations=0,
                norms=norms(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)),
            ),
            "The classifier was wrong before any attack: it took this cat for an astronaut (60 %). The attack had nothing to do.",
        ),
        (
            _outcome(0, 0, known=False, success=False),
            "40 steps were not enough: the classifier still sees a cat (60 %). Try more steps or a larger eps.",
        ),
        (
            _outcome(0, 1, stopped=True, iterations=12),
            "It was a cat (60 %). The classifier was fooled after 3 steps. Stopped after 12 steps, "
            "changing no pixel by more than 8/255, the classifier sees an astronaut (60 %).",
        ),
    ],
)
def test_the_headline_says_what_was_seen_before_when_it_was_fooled_and_what_is_seen_now(
    outcome: Outcome, expected: str
) -> None:
    assert text.attack_verdict(outcome) == expected


def test_where_the_true_class_is_unknown_nothing_is_marked() -> None:
    verdict = _outcome(0, 1).clean_prediction
    classes = domains.get("photos").classes
    assert text.prediction(verdict, classes, None) == "cat 60 %"
    assert text.prediction(verdict, classes, 0) == "✓ cat 60 %" and text.prediction(verdict, classes, 1) == "✗ cat 60 %"
    assert text.start_verdict(verdict, classes, None) == (
        "The classifier sees a cat (60 %). The true class of this image is unknown."
    )


def test_an_untargeted_attack_that_aims_names_its_aim_where_another_class_is_seen() -> None:
    outcome = _outcome(0, 1)
    aimed = outcome.model_copy(update={"attacked": outcome.attacked.model_copy(update={"target": 2})})
    assert text.attack_verdict(aimed).endswith("the classifier sees an astronaut (60 %). It aimed at a coffee.")
    assert text.rival_of(aimed) == "coffee (aimed at)"
    there = outcome.model_copy(update={"attacked": outcome.attacked.model_copy(update={"target": 1})})
    assert text.attack_verdict(there).endswith("the classifier sees an astronaut (60 %).")
    assert text.rival_of(outcome) == "the likeliest other class"
    assert text.rival_of(_outcome(0, 2, target=2)) == "coffee"
