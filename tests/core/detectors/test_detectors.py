"""Detectors, and an attacker who knows them."""

from __future__ import annotations

import pytest
import torch

from core import InvalidInput, detectors, domains
from core.attacks import FGSM, PGD, Criterion
from core.defenses import BitDepth, SpatialSmoothing
from core.detectors import Detector, DetectorAwareClassifier, FeatureSqueezing, MaskDisagreement
from core.evaluate.detector_benchmark import adaptive_attack
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
        return MaskDisagreement(classifier, weights="mnist_a_fc_3")
    return FeatureSqueezing(classifier)


def test_masks_disagree_exactly_above_zero(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    classifier, attention = DIGITS.classifier("a", "cpu"), masks.load("mnist_a_fc_3")
    detector = MaskDisagreement(classifier, weights="mnist_a_fc_3")
    attacked = FGSM(eps=0.25)(classifier, images, labels).images
    for batch in (images, attacked):
        with torch.no_grad():
            seen, read = classifier(batch).argmax(1), attention.classify_mask(batch).argmax(1)
            assert torch.equal(detector.score(batch) > 0, seen != read)
            assert torch.equal(detector.corrected_label(batch), read)
    assert detector.threshold(images) == 0, "the paper's rule, whatever the clean images are"
    assert bool((detector.score(attacked) > 0).any()) and bool((detector.score(images) <= 0).any())


def test_squeezing_corrects_by_the_squeezed_images(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, _ = digits
    classifier = DIGITS.classifier("a", "cpu")
    detector = FeatureSqueezing(classifier)
    with torch.no_grad():
        squeezed = [classifier(s(images)).softmax(1) for s in (BitDepth(bits=1), SpatialSmoothing(window=2))]
        plain = classifier(images).softmax(1)
        assert torch.equal(detector.corrected_label(images), torch.stack(squeezed).mean(0).argmax(1))
        wanted = torch.stack([(plain - s).abs().sum(1) for s in squeezed]).amax(0)
    assert torch.allclose(detector.score(images), wanted, atol=1e-6)


def test_a_score_has_a_gradient(detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    x = digits[0][:6].clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(detector.score(x).sum(), x)
    assert torch.isfinite(slope).all() and float(slope.abs().amax()) > 0


def test_the_aware_classifier_predicts_flagged_exactly_where_the_score_is_above(
    detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, _ = digits
    with torch.no_grad():
        scores = detector.score(images)
        threshold = float(scores.median())
        aware = DetectorAwareClassifier(detector, threshold)
        logits = aware(images)
        assert logits.shape == (40, 11) and aware.classes[-1] == "flagged"
        assert torch.equal(logits[:, :10], detector.classifier(images))
        assert torch.equal(logits.argmax(1) == 10, scores > threshold)
    assert 5 < int((scores > threshold).sum()) < 35


def test_an_adaptive_attacker_fools_both(detector: Detector, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    with torch.no_grad():
        known = detector.classifier(images).argmax(1) == labels
    images, labels = images[known], labels[known]
    threshold = detector.threshold(images)
    # An attack that goes on is unnoticed by feature squeezing as it is; one that stops at once is what the detector was made for.
    attack = PGD(eps=0.3, steps=60, early_stop=True)
    plain = attack(detector.classifier, images, labels).images
    both = adaptive_attack(detector, threshold, attack, images, labels, seed=0)
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
        both.success,
        Criterion(both.targets).satisfied(DetectorAwareClassifier(detector, threshold)(quantise(both.images)), labels),
    )


def test_masks_of_another_domain_are_refused() -> None:
    with pytest.raises(InvalidInput, match="belong to 'mnist'"):
        MaskDisagreement(domains.get("photos").classifier(device="cpu"), weights="mnist_a_fc_3")


def test_a_detector_without_a_classifier_is_a_declaration() -> None:
    assert detectors.names(DIGITS) == ("mask_disagreement", "convolutional_masks", "feature_squeezing")
    assert detectors.names(domains.get("photos")) == ("feature_squeezing",)
    declared = detectors.build("mask_disagreement", {})
    assert declared.resolved(DIGITS).values() == {"weights": "mnist_a_fc_3"}
    with pytest.raises(InvalidInput, match="needs a classifier"):
        declared.score(torch.zeros(1, 1, 28, 28))
    with pytest.raises(InvalidInput, match="no attention masks"):
        declared.resolved(domains.get("photos"))
    with pytest.raises(InvalidInput, match="no weights called 'nobody'"):
        detectors.build("mask_disagreement", {"weights": "nobody"})
    with pytest.raises(InvalidInput, match="no detector called"):
        detectors.build("nobody", {})
