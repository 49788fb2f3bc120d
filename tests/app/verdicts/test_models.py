"""Models' headlines and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.verdicts.models import (
    cards_verdict,
    curves_table,
    curves_verdict,
    image_verdict,
    pair_table,
    pair_verdict,
    transfer_table,
    transfer_verdict,
)
from core.evaluate.eps_curves import EpsCurves
from core.evaluate.transfer import TransferAccuracy
from core.models.artifacts import Artifact
from core.models.cards import Card, Metric
from tests.app.verdicts.made import CLASSES, prediction_of

TITLES = {"p": "Plain", "r": "Robust"}
LABELS = np.array([0, 1, 2, 0])
CLEAN, WORST = "right on the test images", "worst case of APGD and Square"
WRONG = (LABELS + 1) % 3


def judged(*, planned: int = 4, same: bool = False) -> TransferAccuracy:
    """Plain is right on clean images and wrong when attacked itself; Robust misses one image, whatever is done to it."""
    robust = np.array([0, 1, 2, 1])
    attacked = np.array([[WRONG, robust], [WRONG if same else LABELS, robust]])
    return TransferAccuracy(("p", "r"), LABELS, np.array([LABELS, robust]), attacked, planned)


def artifact(
    title: str, domain: str = "mnist", kind: str = "classifier", eps: float | None = 0.3, **shares: int
) -> Artifact:
    metrics: Any = tuple(
        Metric(what=what, value=n / 100, correct=n, count=100, eps=None if what == CLEAN else eps)
        for what, n in shares.items()
    )
    return Artifact(title, Path(), Card.model_construct(kind=kind, title=title, domain=domain, metrics=metrics))


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], "Here: no model."),
        ([artifact("A", kind="denoiser")], "Here: 1 denoiser."),
        ([artifact("A")], "Here: 1 classifier. No accuracy under the worst case at eps 0.3 has been measured."),
        (
            [artifact("A", **{CLEAN: 90, WORST: 0}), artifact("B", **{CLEAN: 80, WORST: 45, "PGD-20": 50})],
            "Here: 2 classifiers. Most accurate: A (90.0 %, 90 of 100 images). "
            "Most robust under the worst case at eps 0.3: B (45.0 %, 45 of 100 images).",
        ),
        (
            [
                artifact("A", **{CLEAN: 90, WORST: 20}),
                artifact("B", eps=0.2, **{CLEAN: 80, WORST: 45}),
                artifact("C", eps=None, **{CLEAN: 80, WORST: 50}),
            ],
            "Here: 3 classifiers. Most accurate: A (90.0 %, 90 of 100 images). "
            "Most robust under the worst case at eps 0.3, of 1 that was measured: A (20.0 %, 20 of 100 images).",
        ),
        (
            [artifact("A", **{CLEAN: 90, WORST: 0}), artifact("B", **{CLEAN: 90, "PGD-20": 50})],
            "Here: 2 classifiers. Most accurate: A and B (90.0 %, 90 of 100 images). "
            "Under the worst case at eps 0.3 no image stays right (1 classifier measured).",
        ),
        ([artifact("A", **{CLEAN: 90}), artifact("B", "cifar10", **{CLEAN: 80})], "Here: 2 classifiers."),
    ],
)
def test_the_headline_of_the_cards(items: list[Artifact], text: str) -> None:
    assert cards_verdict(items, "Here") == text


def test_the_headline_of_one_image() -> None:
    names, clean = ["Plain", "Robust"], [prediction_of(0), prediction_of(0, 0.5)]
    assert image_verdict(names, clean, [prediction_of(1), prediction_of(0)], CLASSES) == (
        "In the clean image both see a cat (60 % and 50 %). "
        "In the adversarial image Plain sees an astronaut (60 %); Robust sees a cat (60 %)."
    )


def test_two_classifiers_on_many_images() -> None:
    assert pair_verdict(judged(), TITLES, "PGD") == (
        "Plain and Robust: 100 % and 75 % of 4 clean images right, 0 % and 75 % under PGD on each itself. "
        "They agree on 75 % of the clean images."
    )
    assert pair_verdict(judged(planned=9), TITLES, "PGD").startswith("Stopped after 4 of 9 images. Plain")
    rows = pair_table(judged(), TITLES, "PGD")
    assert [row["images"] for row in rows] == ["clean", "PGD, crafted on Plain", "PGD, crafted on Robust"]
    assert [str(row["right: Plain"]).split(", ")[1] for row in rows] == ["4 of 4", "0 of 4", "4 of 4"]
    assert [str(row["right: Robust"]).split(", ")[1] for row in rows] == ["3 of 4"] * 3
    assert [str(row["same prediction"]).split(", ")[1] for row in rows] == ["3 of 4", "1 of 4", "3 of 4"]


def test_the_headline_of_transfer() -> None:
    assert transfer_verdict(judged(), TITLES) == (
        "Attacked itself, a classifier gets 0 to 75 % of 4 images right; an attack on another one leaves 75 to 100 % right. "
        "The strongest transfer, from Plain to Robust, leaves 75 % right."
    )
    assert "transfer, from Robust to Plain, leaves 0 % right." in transfer_verdict(judged(same=True), TITLES)
    alone = TransferAccuracy(("p",), LABELS, LABELS[None], WRONG[None, None], 4)
    assert transfer_verdict(alone, TITLES) == "Attacked itself, a classifier gets 0 % of 4 images right."
    rows = transfer_table(judged(), TITLES)
    assert [row["crafted on"] for row in rows] == ["no attack", "Plain", "Robust"]
    assert rows[1]["judged by Plain"] == "0.0 % (0-49), 0 of 4"


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(0, 1), (0, 2)], "The strongest transfer, from A to B and C, leaves 0 % right."),
        ([(n, 4) for n in range(4)], "The strongest transfer, from 4 classifiers to E, leaves 0 % right."),
        ([(0, 1), (1, 0)], "The strongest transfer, in 2 pairs of classifiers, leaves 0 % right."),
        ([(on, judge) for on in range(5) for judge in range(5) if on != judge], "another one leaves 0 % right."),
    ],
)
def test_the_headline_of_transfer_names_ties(pairs: list[tuple[int, int]], words: str) -> None:
    attacked = np.array([[LABELS] * 5] * 5)
    for on, judge in pairs:
        attacked[on, judge] = WRONG
    result = TransferAccuracy(tuple("ABCDE"), LABELS, np.array([LABELS] * 5), attacked, 4)
    assert transfer_verdict(result, {name: name for name in "ABCDE"}).endswith(words)


def test_the_headline_of_the_curves() -> None:
    predicted = np.array([[LABELS, WRONG, WRONG], [[0, 1, 2, 1], [0, 1, 2, 1], [0, 1, 1, 1]]])
    result = EpsCurves(("p", "r"), (0.0, 4 / 255, 8 / 255), LABELS, predicted, 4)
    assert curves_verdict(result, TITLES, "/255") == (
        "Of 4 images, without an attack Plain gets the most right, 100 %; at eps 8/255 Robust gets the most right, 50 %."
    )
    broken = EpsCurves(("p", "r"), (0.0, 0.3), LABELS, np.array([[LABELS, WRONG]] * 2), 9)
    assert curves_verdict(broken, TITLES, "") == (
        "Stopped after 4 of 9 images. Of 4 images, without an attack Plain and Robust get the most right, 100 %; "
        "at eps 0.3 no classifier gets any image right."
    )
    alone = EpsCurves(("p",), (0.0, 0.3), LABELS, np.array([[LABELS, WRONG]]), 4)
    assert (
        curves_verdict(alone, TITLES, "") == "Plain: 100 % of 4 images right without an attack, 0 % right at eps 0.3."
    )
    rows = curves_table(result, TITLES, "/255")
    assert [row["eps"] for row in rows] == ["0/255", "4/255", "8/255"] and str(rows[2]["Robust"]).endswith("2 of 4")
