"""A detector against an attacker who does not know it and one who does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import domains
from core.attacks import FGSM
from core.detectors import FeatureSqueezing, MaskDisagreement
from core.evaluate.detector_benchmark import benchmark_detector, score_images

DIGITS = domains.get("mnist")


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    return DIGITS.sample(40, seed=1)


def test_a_benchmark_counts_what_was_done(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    detector = MaskDisagreement(DIGITS.classifier("a", "cpu"), weights="mnist_a_fc_3")
    benchmark = benchmark_detector(detector, FGSM(eps=0.25), images, labels, threshold=0.0, batch=15)
    assert benchmark is not None
    with torch.no_grad():
        known = detector.classifier(images).argmax(1) == labels
    assert len(benchmark.labels) == int(known.sum())
    attacked = torch.cat(
        [
            FGSM(eps=0.25)(detector.classifier, x[k], y[k]).images
            for x, y, k in zip(images.split(15), labels.split(15), known.split(15), strict=True)
        ]
    )
    scores = score_images(detector, attacked)
    np.testing.assert_allclose(benchmark.oblivious.score, scores.score, atol=1e-4)
    fooled = scores.predicted != labels[known].numpy()
    assert 5 < fooled.sum() < len(fooled)
    for threshold in (0.0, 2.5):
        flags = scores.score > threshold
        positive = benchmark.true_positive(benchmark.oblivious, threshold)
        assert (positive.successes, positive.count) == ((flags & fooled).sum(), fooled.sum())
        negative = benchmark.true_negative(benchmark.oblivious, threshold)
        assert (negative.successes, negative.count) == (
            (benchmark.clean.score[fooled] <= threshold).sum(),
            fooled.sum(),
        )
        back = benchmark.recovered(benchmark.oblivious, threshold)
        assert back.successes == (flags & fooled & (scores.corrected_label == labels[known].numpy())).sum()
        free = benchmark.evasion_rate(benchmark.oblivious, threshold)
        assert (free.successes, free.count) == ((fooled & ~flags).sum(), len(fooled))


def test_a_stopped_benchmark_keeps_whole_batches(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits
    detector = FeatureSqueezing(DIGITS.classifier("a", "cpu"))
    none = benchmark_detector(
        detector, FGSM(), images, labels, threshold=0.1, batch=10, on_progress=lambda progress: True
    )
    assert none is None
    some = benchmark_detector(
        detector, FGSM(), images, labels, threshold=0.1, batch=10, on_progress=lambda progress: progress.done >= 25
    )
    assert some is not None and 0 < len(some.labels) <= 20
