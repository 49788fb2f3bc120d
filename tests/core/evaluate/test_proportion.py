"""Intervals against the formula, and how a share is written."""

from __future__ import annotations

from math import isnan, sqrt

import pytest

from core.evaluate import Proportion, wilson


@pytest.mark.parametrize(
    ("hits", "count"), [(0, 10), (1, 1), (3, 10), (71, 500), (499, 500), (500, 500), (9187, 10_000)]
)
def test_wilson_is_the_published_formula(hits: int, count: int) -> None:
    z, share = 1.959963984540054, hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    assert wilson(hits, count) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_no_hit_and_nothing_but_hits_end_at_the_ends() -> None:
    assert wilson(0, 7)[0] == 0.0 and wilson(7, 7)[1] == 1.0


def test_nothing_measured_is_nothing_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0) and isnan(Proportion(0, 0).value) and str(Proportion(0, 0)) == "–"


def test_a_share_tells_its_count_and_its_interval() -> None:
    assert str(Proportion(71, 500)) == "14.2 % (71 of 500; 11.4-17.5)"


@pytest.mark.parametrize(("one", "other", "open_"), [(17, 20, True), (4, 30, False), (20, 20, True), (0, 40, False)])
def test_the_order_of_two_is_open_where_their_intervals_overlap(one: int, other: int, open_: bool) -> None:
    first, second = Proportion(one, 100), Proportion(other, 100)
    assert first.overlaps(second) == second.overlaps(first) == open_
    assert first.interval == wilson(one, 100)
