"""The contract of a detector: images in [0, 1] to scores, higher is more suspicious; thresholds chosen on clean images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import floor
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import PrivateAttr
from torch import Tensor

from core.declaration import Configurable
from core.domains.base import Domain
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.registry import Registry

Scores = npt.NDArray[np.floating]


REGISTRY: Registry[Detector] = Registry("detector")


class Detector(Configurable, ABC):
    """Scores how suspicious images are to a classifier.

    A subclass declares its parameters as fields, names itself with the class variables of `Configurable`, and writes `score` and
    `corrected_label`. A detector without a classifier is a declaration; `around` gives the one that scores.

    Attributes:
        default_threshold: the threshold that the paper names; None where it is chosen on clean images.

    Args:
        classifier: whose images are scored.
    """

    registry: ClassVar[Registry[Any] | None] = REGISTRY

    default_threshold: ClassVar[float | None] = None

    _classifier: Classifier | None = PrivateAttr(None)

    def __init__(self, classifier: Classifier | None = None, /, **values: Any) -> None:
        super().__init__(**values)
        if classifier is not None:
            self.check_classifier(classifier)
        self._classifier = classifier

    @classmethod
    def fits(cls, domain: Domain) -> bool:
        """Whether it is offered for the classifiers of that domain."""
        return True

    def resolved(self, domain: Domain) -> Self:
        """The same detector with the domain's defaults spelled out, such as the name of its weights.

        Raises:
            InvalidInput: it is not for the classifiers of that domain.
        """
        return self

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of its weights, once it is `resolved`, by the names of their artifacts; empty where it has none."""
        return {}

    def check_classifier(self, classifier: Classifier) -> None:
        """Refuse a classifier that it is not for.

        Raises:
            InvalidInput: it is not; the sentence says why.
        """

    @property
    def classifier(self) -> Classifier:
        """The classifier whose images it scores.

        Raises:
            InvalidInput: it has none yet.
        """
        if self._classifier is None:
            raise InvalidInput(f"{self.title} needs a classifier; use detector.around(classifier).")
        return self._classifier

    def around(self, classifier: Classifier) -> Self:
        """The same detector for another classifier; this one stays as it is.

        Raises:
            InvalidInput: it is not for that classifier.
        """
        self.check_classifier(classifier)
        copied = self.model_copy()
        copied._classifier = classifier
        return copied

    @abstractmethod
    def score(self, images: Tensor) -> Tensor:
        """How suspicious images N×C×H×W in [0, 1] are, N; differentiable with respect to the images."""

    @abstractmethod
    def corrected_label(self, images: Tensor) -> Tensor:
        """The class that the detector assigns to images N×C×H×W in [0, 1], int64 N."""

    def threshold(self, clean: Tensor, false_positives: float = 0.05) -> float:
        """The paper's threshold; without one, the lowest that at most a proportion of the clean images exceeds.

        Args:
            clean: N×C×H×W in [0, 1]. false_positives: the proportion, in [0, 1).
        """
        if self.default_threshold is not None:
            return self.default_threshold
        with torch.no_grad():
            return threshold_at(self.score(clean).float().cpu().numpy(), false_positives)


def threshold_at(scores: Scores, false_positives: float = 0.05) -> float:
    """The lowest of the clean scores that at most a proportion of them exceeds.

    Args:
        scores: of clean images, N > 0. false_positives: the proportion, in [0, 1).

    Raises:
        InvalidInput: there are no scores, or the proportion is out of range.
    """
    if len(scores) == 0:
        raise InvalidInput("A threshold needs scores of clean images; there are none.")
    if not 0 <= false_positives < 1:
        raise InvalidInput(f"The share of false positives is {false_positives}; it must be at least 0 and less than 1.")
    descending = np.sort(scores)[::-1]
    return float(descending[floor(false_positives * len(scores) + 1e-9)])


def flagged(clean: Scores, scores: Scores, false_positives: float = 0.05) -> npt.NDArray[np.bool_]:
    """Which images a threshold flags that was chosen without them: two-fold cross-fitting.

    Args:
        clean, scores: of the same images in the same order, clean and attacked, N. The even ones are judged by the threshold of the
            clean scores of the odd ones, and the other way round.

    Returns:
        bool N.
    """
    result = np.zeros(len(scores), bool)
    for fold in (0, 1):
        others = clean[1 - fold :: 2]
        if len(others):
            result[fold::2] = scores[fold::2] > threshold_at(others, false_positives)
    return result
