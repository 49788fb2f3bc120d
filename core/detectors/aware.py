"""A classifier and its detector as an adaptive attacker sees them."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from core.detectors.base import Detector
from core.models.classifier import Classifier, Wrapper


class DetectorAwareClassifier(Wrapper):
    """The detector's classifier with one more class, *flagged* (Carlini and Wagner 2017b, section 3.3).

    Its logit is the largest of the others plus score − threshold: it wins exactly where the detector flags the image. An attack
    toward a class that succeeds fools the classifier and the detector.

    Args:
        detector: around a classifier. threshold: scores above it are flagged.
    """

    def __init__(self, detector: Detector, threshold: float) -> None:
        super().__init__(detector.classifier)
        self.detector, self.threshold = detector, threshold
        self.classes = (*self.classes, "flagged")

    def around(self, classifier: Classifier) -> Self:
        copied = super().around(classifier)
        copied.detector = self.detector.around(classifier)
        return copied

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×(K + 1) of images N×C×H×W in [0, 1]."""
        images = images.to(self.device)
        logits: Tensor = self.classifier(images)
        excess = self.detector.score(images) - self.threshold
        return torch.cat([logits, (logits.amax(1) + excess)[:, None]], 1)
