"""How far attention moved, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.explain.shift import centre, share_inside, shift, top_share


def test_the_same_map_has_not_moved() -> None:
    values = np.random.default_rng(0).random((10, 10))
    found = shift(values, values)
    assert found.overlap == 1 and found.moved == 0 and found.shared == 1
    assert found.suppressed == found.emphasised == 0 and found.inside is None


def test_a_spot_that_moved() -> None:
    before, after = np.zeros((10, 10)), np.zeros((10, 10))
    before[2, 3], after[6, 6] = 1.0, 0.5
    region = np.zeros((10, 10), bool)
    region[5:8, 5:8] = True
    found = shift(before, after, region)
    assert found.moved == pytest.approx(5.0), "4 down and 3 across"
    assert found.suppressed == pytest.approx(2 / 3) and found.emphasised == pytest.approx(1 / 3) and found.shared == 0
    assert found.inside == (0.0, 1.0)


def test_the_parts_add_up_and_the_overlap_is_of_exact_fifths() -> None:
    chance = np.random.default_rng(1)
    before, after = chance.random((7, 9)), chance.random((7, 9))
    found = shift(before, after)
    assert found.suppressed + found.shared + found.emphasised == pytest.approx(1)
    wanted = [set(np.argsort(values.ravel())[-13:]) for values in (before, after)]  # 63 / 5 is nearly 13
    assert found.overlap == pytest.approx(len(wanted[0] & wanted[1]) / len(wanted[0] | wanted[1]))
    assert top_share(before, 0.2).sum() == 13


def test_empty_maps_are_no_accident() -> None:
    empty, some = np.zeros((4, 4)), np.ones((4, 4))
    assert centre(empty) is None and share_inside(empty, np.ones((4, 4), bool)) == 0
    found = shift(some, empty)
    assert found.moved is None and found.overlap == 0 and found.suppressed == 1
    assert shift(empty, empty).shared == 1
