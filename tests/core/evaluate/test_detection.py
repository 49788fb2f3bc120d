"""Detectors, the attacker who knows them, their curves, and a trial."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from core import BadInput, domains
from core.attacks import FGSM, PGD, Goal
from core.defenses import BitDepth, SpatialSmoothing
from core.evaluate.detection import Detector, FeatureSqueezing, MaskDisagreement, Watched
from core.evaluate.roc import delong, newcombe, roc
from core.evaluate.trial import attack_both, judge, on_trial
from core.explain import masks
from core.images import quantise

DIGITS = domains.get("mnist")


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    return DIGITS.sample(40, seed=1)


@pytest.fixture(scope="module", params=["masks", "squeezing"])
def detector(request: pytest.FixtureRequest) -> Detector:
    classifier = DIGITS.classifier("a", "cpu")
    if request.param == "masks":
        return MaskDisagreement(classifier, masks.load("mnist_a_fc_3"))
    return FeatureSqueezing(classifier)


def test_masks_disagree_exactly_above_zero(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    classifier, attention = DIGITS.classifier("a", "cpu"), masks.load("mnist_a_fc_3")
    detector = MaskDisagreement(classifier, attention)
    attacked = FGSM(eps=0.25)(classifier, images, labels).images
    for batch in (images, attacked):
        with torch.no_grad():
            seen, read = classifier(batch).argmax(1), attention.read(batch).argmax(1)
            assert torch.equal(detector.score(batch) > 0, seen != read)
            assert torch.equal(detector.restored(batch), read)
    assert detector.threshold(images) == 0, "the paper's rule, whatever the clean pictures are"
    assert bool((detector.score(attacked) > 0).any()) and bool((detector.score(images) <= 0).any())


def test_squeezing_restores_by_the_squeezed_pictures(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, _ = digits
    classifier = DIGITS.classifier("a", "cpu")
    detector = FeatureSqueezing(classifier)
    with torch.no_grad():
        squeezed = [classifier(s(images)).softmax(1) for s in (BitDepth(bits=1), SpatialSmoothing(window=2))]
        plain = classifier(images).softmax(1)
        assert torch.equal(detector.restored(images), torch.stack(squeezed).mean(0).argmax(1))
        wanted = torch.stack([(plain - s).abs().sum(1) for s in squeezed]).amax(0)
    assert torch.allclose(detector.score(images), wanted, atol=1e-6)


def test_a_score_has_a_gradient_for_who_asks(detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x = digits[0][:6].clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(detector.score(x).sum(), x)
    assert torch.isfinite(slope).all() and float(slope.abs().amax()) > 0


def test_watched_names_flagged_exactly_where_the_score_is_above(
    detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, _ = digits
    with torch.no_grad():
        scores = detector.score(images)
        threshold = float(scores.median())
        watched = Watched(detector, threshold)
        logits = watched(images)
        assert logits.shape == (40, 11) and watched.classes[-1] == "flagged"
        assert torch.equal(logits[:, :10], detector.classifier(images))
        assert torch.equal(logits.argmax(1) == 10, scores > threshold)
    assert 5 < int((scores > threshold).sum()) < 35


def test_who_knows_the_detector_fools_both(detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    with torch.no_grad():
        known = detector.classifier(images).argmax(1) == labels
    images, labels = images[known], labels[known]
    threshold = detector.threshold(images)
    # An attack that goes on is unnoticed by feature squeezing as it is; one that stops at once is what the detector was made for.
    attack = PGD(eps=0.3, steps=60, early_stop=True)
    plain = attack(detector.classifier, images, labels).images
    both = attack_both(detector, threshold, attack, images, labels, seed=0)
    assert float((both.images - images).abs().max()) <= 0.3 + 1e-5
    with torch.no_grad():
        unnoticed = {
            name: float(
                ((detector.classifier(quantise(x)).argmax(1) != labels) & (detector.score(quantise(x)) <= threshold))
                .float()
                .mean()
            )
            for name, x in (("plain", plain), ("both", both.images))
        }
    assert unnoticed["both"] > unnoticed["plain"] + 0.2, unnoticed
    assert torch.equal(
        both.success, Goal(both.targets).reached(Watched(detector, threshold)(quantise(both.images)), labels)
    )


def test_masks_of_another_domain_are_refused() -> None:
    with pytest.raises(BadInput, match="belong to 'mnist'"):
        MaskDisagreement(domains.get("photos").classifier(device="cpu"), masks.load("mnist_a_fc_3"))


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_and_its_area_are_scikit_learns(ties: bool) -> None:
    chance = np.random.default_rng(0)
    clean, attacked = chance.normal(0, 1, 70), chance.normal(0.8, 1.3, 50)
    if ties:
        clean, attacked = clean.round(), attacked.round()
    found = roc(clean, attacked)
    truth = np.concatenate([np.zeros(70), np.ones(50)])
    scores = np.concatenate([clean, attacked])
    false, true, thresholds = roc_curve(truth, scores)
    np.testing.assert_array_equal(found.false_positives, false)
    np.testing.assert_array_equal(found.true_positives, true)
    np.testing.assert_array_equal(found.thresholds, thresholds)
    assert found.area == pytest.approx(roc_auc_score(truth, scores))
    pairs = [(a > c) + 0.5 * (a == c) for a in attacked for c in clean]
    assert found.area == pytest.approx(np.mean(pairs)), "how often an attacked picture scores above a clean one"


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
    with pytest.raises(BadInput, match="one of them has none"):
        roc(np.zeros(3), np.zeros(0))


def test_a_trial_counts_what_was_done(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    detector = MaskDisagreement(DIGITS.classifier("a", "cpu"), masks.load("mnist_a_fc_3"))
    trial = on_trial(detector, FGSM(eps=0.25), images, labels, threshold=0.0, batch=15)
    assert trial is not None
    with torch.no_grad():
        known = detector.classifier(images).argmax(1) == labels
    assert len(trial.labels) == int(known.sum())
    attacked = torch.cat(
        [
            FGSM(eps=0.25)(detector.classifier, x[k], y[k]).images
            for x, y, k in zip(images.split(15), labels.split(15), known.split(15), strict=True)
        ]
    )
    judged = judge(detector, attacked)
    np.testing.assert_allclose(trial.oblivious.score, judged.score, atol=1e-4)
    fooled = judged.predicted != labels[known].numpy()
    assert 5 < fooled.sum() < len(fooled)
    for threshold in (0.0, 2.5):
        flags = judged.score > threshold
        positive = trial.true_positive(trial.oblivious, threshold)
        assert (positive.hits, positive.count) == ((flags & fooled).sum(), fooled.sum())
        negative = trial.true_negative(trial.oblivious, threshold)
        assert (negative.hits, negative.count) == ((trial.clean.score[fooled] <= threshold).sum(), fooled.sum())
        back = trial.recovered(trial.oblivious, threshold)
        assert back.hits == (flags & fooled & (judged.restored == labels[known].numpy())).sum()
        free = trial.unnoticed(trial.oblivious, threshold)
        assert (free.hits, free.count) == ((fooled & ~flags).sum(), len(fooled))


def test_a_stopped_trial_keeps_whole_batches(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    detector = FeatureSqueezing(DIGITS.classifier("a", "cpu"))
    none = on_trial(detector, FGSM(), images, labels, threshold=0.1, batch=10, watch=lambda done, total: True)
    assert none is None
    some = on_trial(detector, FGSM(), images, labels, threshold=0.1, batch=10, watch=lambda done, total: done >= 25)
    assert some is not None and 0 < len(some.labels) <= 20
