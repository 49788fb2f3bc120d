"""Intervals against scipy's, and how a share is written."""

from __future__ import annotations

from math import isnan

import pytest

from core.evaluate import Share, wilson

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(
    ("hits", "count"), [(0, 10), (1, 1), (3, 10), (71, 500), (499, 500), (500, 500), (9187, 10_000)]
)
def test_wilson_is_scipys(hits: int, count: int) -> None:
    theirs = scipy_stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits, count) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_nothing_measured_is_nothing_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0) and isnan(Share(0, 0).value) and str(Share(0, 0)) == "–"


def test_a_share_tells_its_count_and_its_interval() -> None:
    assert str(Share(71, 500)) == "14.2% (71 of 500; 11.4-17.5)"
