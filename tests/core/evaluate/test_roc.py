"""ROC curves against scikit-learn, and the coverage of the area's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from core import InvalidInput
from core.evaluate.roc import delong, newcombe, roc


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_and_its_area_are_scikit_learns(ties: bool) -> None:
    chance = np.random.default_rng(0)
    clean, attacked = chance.normal(0, 1, 70), chance.normal(0.8, 1.3, 50)
    if ties:
        clean, attacked = clean.round(), attacked.round()
    curve = roc(clean, attacked)
    truth = np.concatenate([np.zeros(70), np.ones(50)])
    scores = np.concatenate([clean, attacked])
    false, true, thresholds = roc_curve(truth, scores)
    np.testing.assert_array_equal(curve.false_positives, false)
    np.testing.assert_array_equal(curve.true_positives, true)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert curve.area == pytest.approx(roc_auc_score(truth, scores))
    pairs = [(a > c) + 0.5 * (a == c) for a in attacked for c in clean]
    assert curve.area == pytest.approx(np.mean(pairs)), "how often an attacked image scores above a clean one"


def test_the_areas_interval_is_as_wide_as_the_areas_of_other_draws_are_far() -> None:
    chance = np.random.default_rng(0)
    draws = [delong(chance.normal(0, 1, 60), chance.normal(1, 1, 60)) for _ in range(600)]
    spread = np.std([area for area, _, _ in draws])
    halves = [(high - low) / 2 / 1.96 for _, low, high in draws if high < 1]
    assert np.mean(halves) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("spread", [1.0, 2.0], ids=["alike", "attacked scores spread twice as far"])
@pytest.mark.parametrize("clean, attacked", [(60, 60), (100, 20), (20, 100), (5, 5)])
@pytest.mark.parametrize("truth", [0.5, 0.76, 0.97, 0.998])
def test_the_interval_covers_the_area_up_to_perfect_separation(
    truth: float, clean: int, attacked: int, spread: float
) -> None:
    chance = np.random.default_rng(1)
    apart = norm.ppf(truth) * np.sqrt(1 + spread**2)
    draws = [delong(chance.normal(0, 1, clean), chance.normal(apart, spread, attacked)) for _ in range(300)]
    assert np.mean([low <= truth <= high for _, low, high in draws]) >= 0.92
    assert all(0 <= low <= area <= high <= 1 and low < high for area, low, high in draws)


@pytest.mark.parametrize(("clean", "attacked"), [(1, 1), (1, 30), (30, 1), (30, 30), (500, 500)])
def test_no_interval_collapses(clean: int, attacked: int) -> None:
    below, above = np.arange(clean) / clean, 2 + np.arange(attacked) / attacked
    area, low, high = delong(below, above)
    assert (area, high) == (1.0, 1.0) and 0 < low < 1
    assert delong(above, below) == pytest.approx((0.0, 0.0, 1 - newcombe(1.0, clean, attacked)[0]))
    area, low, high = delong(np.zeros(clean), np.zeros(attacked))
    assert area == 0.5 and low < 0.47 < 0.53 < high, "all scores are ties"


def test_more_images_narrow_the_interval_of_a_perfect_separation() -> None:
    lows = [newcombe(1.0, count, count)[0] for count in (1, 2, 5, 20, 100, 1000)]
    assert lows == sorted(lows) and lows[0] == pytest.approx(1 / (1 + 1.959964**2)) and lows[-1] > 0.99
    assert newcombe(0.9, 40, 40)[0] == pytest.approx(1 - newcombe(0.1, 40, 40)[1])


def test_a_curve_needs_both_kinds() -> None:
    with pytest.raises(InvalidInput, match="one of them has none"):
        roc(np.zeros(3), np.zeros(0))
