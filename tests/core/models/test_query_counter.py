"""The counts of an attacker's looks, against numbers that are known."""

from __future__ import annotations

import pytest
import torch

from core import Guarded
from core.attacks import FGSM, PGD, Attack, Square
from core.defenses import BitDepth
from core.models.query_counter import QueryCounter, QueryCounts
from tests.core.attacks.networks import curved, random_images


@pytest.mark.parametrize(
    ("attack", "gradients", "queries"),
    [
        (FGSM(), 6, 12),  # a gradient each; a look at the result before rounding and one after
        (PGD(steps=5, random_start=False, early_stop=False, keep="last"), 30, 12),
        (
            Square(queries=7, early_stop=False),
            0,
            56,
        ),  # the one image that is fooled: its first file, and its best one
    ],
    ids=["fgsm", "pgd", "square"],
)
def test_looks_are_counted_per_image(attack: Attack, gradients: int, queries: int) -> None:
    counts, x = QueryCounts(), random_images(6)
    with torch.no_grad():
        y = curved().forward(x).argmax(1)
    result = attack(QueryCounter(curved(), counts), x, y)
    assert torch.equal(result.images, attack(curved(), x, y).images)
    assert (counts.gradients, counts.queries) == (gradients, queries)


def test_an_unknown_defense_is_counted_too() -> None:
    counts, x = QueryCounts(), random_images(2)
    with torch.no_grad():
        y = curved()(x).argmax(1)
    PGD(steps=3, random_start=False, early_stop=False, keep="last")(
        QueryCounter(Guarded(curved(), BitDepth(), backward="none"), counts), x, y
    )
    assert (counts.gradients, counts.queries) == (6, 4)
