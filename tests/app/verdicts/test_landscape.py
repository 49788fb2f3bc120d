"""Landscape's headlines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.verdicts.landscape import regions_verdict, spectrum_verdict, surface_verdict
from core.analysis.landscape import Regions
from core.explain.landscape import Grid, Plane
from core.recipe import AttackOutcome
from tests.app.verdicts.made import CLASSES, CLEAN, attacked, prediction_of

STEPS = np.array([-8, -4, 0, 4, 8], np.float32) / 255


def grid(losses: list[float], predicted: list[int], aside: list[float] | None = None) -> Grid:
    """Along the gradient those values; across it `aside`."""
    loss, classes = np.full((5, 5), 9.0, np.float32), np.zeros((5, 5), np.int64)
    loss[:, 2] = aside or [0.1] * 5
    loss[2], classes[2] = losses, predicted
    return Grid(STEPS, STEPS, loss, classes, np.ones((5, 5), np.float32))


@pytest.mark.parametrize(
    ("found", "known", "text"),
    [
        (
            grid([7, 5, 0.5, 2, 3], [1, 1, 0, 1, 1]),
            True,
            "Along the gradient the cat is first lost at 4/255: the loss is 0.5 at the image, 2 there and 3 at 8/255. "
            "In the random direction it is at most 0.5.",
        ),
        (
            grid([7, 5, 0.5, 2, 3], [1, 1, 0, 0, 2], [1, 1, 1, 1, 4]),
            True,
            "Along the gradient the cat is first lost at 8/255: the loss is 0.5 at the image, 3 there. "
            "In the random direction it is at most 4.",
        ),
        (
            grid([7, 5, 0.5, 0.2, 0.1], [1, 1, 0, 0, 0]),
            True,
            "Along the gradient the cat stays up to 8/255: the loss is 0.5 at the image and 0.1 there. "
            "In the random direction it is at most 0.5.",
        ),
        (
            grid([7, 5, 1.5, 2, 3], [1, 1, 1, 1, 0]),
            True,
            "The cat is not recognized to begin with: the loss is 1.5 at the image and, along the gradient, 3 at 8/255. "
            "In the random direction it is at most 1.5.",
        ),
        (
            grid([7, 5, 0.5, 2, 123], [0, 0, 0, 1, 0]),
            False,
            "Along the gradient the clean prediction (a cat) is first lost at 4/255: the loss is 0.5 at the image, 2 there "
            "and 123 at 8/255. In the random direction it is at most 0.5.",
        ),
    ],
)
def test_the_loss_is_that_of_the_place_that_is_named(found: Grid, known: bool, text: str) -> None:
    assert surface_verdict(found, CLASSES, 0, known) == text


def test_the_place_is_named_in_the_unit_of_the_domain() -> None:
    said = surface_verdict(grid([7, 5, 0.5, 2, 3], [1, 1, 0, 1, 1]), CLASSES, 0, unit="")
    assert f"first lost at {4 / 255:.3g}:" in said and f"3 at {8 / 255:.3g}." in said and "/255" not in said


def regions(third: str, seen: list[int]) -> Regions:
    predicted = np.resize(np.array(seen), (5, 5))
    found = Grid(STEPS, STEPS, np.zeros((5, 5), np.float32), predicted, np.ones((5, 5), np.float32))
    one = torch.zeros(1, 3, 8, 8)
    return Regions(found, Plane(one, one, ((0.0, 0.0), (1.2, 0.0), (3.0, 4.0))), CLEAN, third)


@pytest.mark.parametrize(
    ("found", "done", "before", "text"),
    [
        (
            regions("coffee", [0, 1, 2]),
            attacked(1, target=2),
            0,
            "The attack went 1.2 (L2) and is seen as an astronaut; the image of a coffee is 5 away from the clean one. "
            "3 classes lie on this plane.",
        ),
        (
            regions("a random change", [0]),
            attacked(0),
            0,
            "The attack went 1.2 (L2) and is still seen as a cat; the plane goes through a random change of 5, too. "
            "1 class lies on this plane.",
        ),
        (
            regions("astronaut", [1]),
            attacked(1),
            1,
            "The attack went 1.2 (L2) and is still seen as an astronaut; the image of an astronaut is 5 away from the clean one. "
            "1 class lies on this plane.",
        ),
    ],
)
def test_the_regions_are_told_as_they_are(found: Regions, done: AttackOutcome, before: int, text: str) -> None:
    assert regions_verdict(found, done, prediction_of(before), CLASSES) == text


def test_a_spectrum_of_nothing_has_no_share() -> None:
    assert (
        spectrum_verdict(0.42, 0.1)
        == "42 % of the change lies above a quarter of a cycle a pixel; of the image it is 10 %."
    )
    assert spectrum_verdict(0.42, None).endswith("; the image itself is flat.")
    assert spectrum_verdict(None, 0.1) == "The attack changed nothing, so there is no spectrum of the change."
