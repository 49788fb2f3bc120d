"""Telling attacked pictures from clean ones: detectors, their threshold, and how often they are right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import floor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.defenses import Bilateral, BitDepth, Defense, SpatialSmoothing
from core.inputs import BadInput
from core.models.classifier import Classifier

Values = npt.NDArray[np.floating]


class Detector(ABC):
    """Scores pictures: the higher, the more suspicious. What is too high is decided on clean pictures."""

    title: str

    @abstractmethod
    def score(self, images: Tensor) -> Tensor:
        """How suspicious each of N×C×H×W in [0, 1] is, N."""

    def threshold(self, clean: Tensor, false_positives: float = 0.05) -> float:
        """The score that at most that share of clean pictures N×C×H×W exceeds."""
        return threshold_at(self.score(clean).float().cpu().numpy(), false_positives)


class FeatureSqueezing(Detector):
    """max over squeezers s of ‖softmax f(x) − softmax f(s(x))‖₁, in [0, 2] (Xu, Evans and Qi 2018, section V).

    Without squeezers of one's own: bit depth 5 (1 for grey pictures) and the median of 2×2, as in the paper's tables; for colour
    also the bilateral filter, which stands where the paper has non-local means.
    """

    title = "Feature squeezing"

    def __init__(self, classifier: Classifier, squeezers: Sequence[Defense] | None = None) -> None:
        if squeezers is None:
            grey = classifier.channels == 1
            squeezers = (BitDepth(bits=1 if grey else 5), SpatialSmoothing(window=2), *(() if grey else (Bilateral(),)))
        if not squeezers:
            raise BadInput("Feature squeezing needs at least one squeezer.")
        self.classifier, self.squeezers = classifier, tuple(squeezers)

    @torch.no_grad()
    def score(self, images: Tensor) -> Tensor:
        images = images.to(self.classifier.device)
        plain = self.classifier(images).softmax(1)
        moved = [(plain - self.classifier(s(images)).softmax(1)).abs().sum(1) for s in self.squeezers]
        return torch.stack(moved).amax(0)


def threshold_at(scores: Values, false_positives: float = 0.05) -> float:
    """The lowest of the clean scores that at most that share of them exceeds.

    Raises:
        BadInput: there are no scores, or the share is not in [0, 1).
    """
    if len(scores) == 0:
        raise BadInput("A threshold needs scores of clean pictures; there are none.")
    if not 0 <= false_positives < 1:
        raise BadInput(f"The share of false positives is {false_positives}; it must be at least 0 and less than 1.")
    descending = np.sort(scores)[::-1]
    return float(descending[floor(false_positives * len(scores) + 1e-9)])


def flagged(clean: Values, scores: Values, false_positives: float = 0.05) -> npt.NDArray[np.bool_]:
    """Which of `scores` are too high by a threshold that their own picture had no part in.

    Both are of the same pictures in the same order, clean and attacked: the pictures at even places are judged by the clean scores
    of those at odd places, and the other way round.
    """
    result = np.zeros(len(scores), bool)
    for mine in (0, 1):
        others = clean[1 - mine :: 2]
        if len(others):
            result[mine::2] = scores[mine::2] > threshold_at(others, false_positives)
    return result
