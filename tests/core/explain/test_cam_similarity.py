"""How far attention moved, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.explain.cam_similarity import center, compare_maps, is_empty, share_inside, top_share


def test_the_same_map_has_not_moved() -> None:
    values = np.random.default_rng(0).random((10, 10))
    found = compare_maps(values, values)
    assert found is not None and found.overlap == 1 and found.centroid_shift == 0 and found.shared == 1
    assert found.suppressed == found.emphasized == 0 and found.inside is None


def test_a_spot_that_moved() -> None:
    before, after = np.zeros((10, 10)), np.zeros((10, 10))
    before[2, 3], after[6, 6] = 1.0, 0.5
    region = np.zeros((10, 10), bool)
    region[5:8, 5:8] = True
    found = compare_maps(before, after, region)
    assert found is not None and found.centroid_shift == pytest.approx(5.0), "4 down and 3 across"
    assert found.suppressed == pytest.approx(2 / 3) and found.emphasized == pytest.approx(1 / 3) and found.shared == 0
    assert found.inside == (0.0, 1.0)


def test_the_parts_add_up_and_the_overlap_is_of_exact_fifths() -> None:
    chance = np.random.default_rng(1)
    before, after = chance.random((7, 9)), chance.random((7, 9))
    found = compare_maps(before, after)
    assert found is not None and found.suppressed + found.shared + found.emphasized == pytest.approx(1)
    wanted = [set(np.argsort(values.ravel())[-13:]) for values in (before, after)]  # 63 / 5 is nearly 13
    assert found.overlap == pytest.approx(len(wanted[0] & wanted[1]) / len(wanted[0] | wanted[1]))
    assert top_share(before, 0.2).sum() == 13


def test_only_positive_places_are_in_the_top_fifth() -> None:
    before, after = np.zeros((10, 10)), np.zeros((10, 10))
    before[2, 3], after[6, 6] = 1.0, 0.5
    assert top_share(before, 0.2).sum() == 1
    found = compare_maps(before, after)
    assert found is not None and found.overlap == 0, "zeros are not marked, however few places are"


def test_nothing_is_computed_from_an_empty_map() -> None:
    empty, some, region = np.zeros((4, 4)), np.ones((4, 4)), np.ones((4, 4), bool)
    assert is_empty(empty) and not is_empty(some)
    assert center(empty) is None and share_inside(empty, region) is None and not top_share(empty, 0.2).any()
    for before, after in ((some, empty), (empty, some), (empty, empty)):
        assert compare_maps(before, after) is None and compare_maps(before, after, region) is None
