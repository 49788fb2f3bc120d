"""Telling attacked pictures from clean ones: detectors, their threshold, and which pictures they flag."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from math import floor
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.defenses import Bilateral, BitDepth, Defense, SpatialSmoothing
from core.explain.masks import Attention
from core.inputs import BadInput
from core.models.classifier import Classifier, Wrapper
from core.systems.guarded import Guarded

Values = npt.NDArray[np.floating]


class Detector(ABC):
    """Scores pictures: the higher, the more suspicious. What is too high is decided on clean pictures, or by the paper's rule.

    Attributes:
        name, title, summary, paper: as an attack or a defense has them.
        rule: the threshold that the paper names; None where it is chosen on clean pictures.
    """

    name: str
    title: str
    summary: str
    paper: str
    rule: float | None = None
    classifier: Classifier

    @abstractmethod
    def score(self, images: Tensor) -> Tensor:
        """How suspicious each of N×C×H×W in [0, 1] is, N; differentiable for those who ask for a gradient."""

    @abstractmethod
    def restored(self, images: Tensor) -> Tensor:
        """What the detector takes the pictures N×C×H×W for, int64 N."""

    def around(self, classifier: Classifier) -> Self:
        """The same detector around another classifier; this one stays as it is."""
        twin = copy(self)
        twin.classifier = classifier
        return twin

    def threshold(self, clean: Tensor, false_positives: float = 0.05) -> float:
        """The paper's rule; without one, the score that at most that share of clean pictures N×C×H×W exceeds."""
        if self.rule is not None:
            return self.rule
        with torch.no_grad():
            return threshold_at(self.score(clean).float().cpu().numpy(), false_positives)


class FeatureSqueezing(Detector):
    """max over squeezers s of ‖softmax f(x) − softmax f(s(x))‖₁, in [0, 2] (Xu, Evans and Qi 2018, section V).

    Without squeezers of one's own: bit depth 5 (1 for grey pictures) and the median of 2×2, as in the paper's tables; for colour
    also the bilateral filter, which stands where the paper has non-local means. An attacker differentiates through a squeezer, or
    counts it as the identity where it has no gradient (BPDA).
    """

    name = "feature_squeezing"
    title = "Feature squeezing"
    summary = "A squeezed picture should be taken for the same thing: the largest change of the prediction."
    paper = "Xu, Evans and Qi 2018, section V"

    def __init__(self, classifier: Classifier, squeezers: Sequence[Defense] | None = None) -> None:
        if squeezers is None:
            grey = classifier.channels == 1
            squeezers = (BitDepth(bits=1 if grey else 5), SpatialSmoothing(window=2), *(() if grey else (Bilateral(),)))
        if not squeezers:
            raise BadInput("Feature squeezing needs at least one squeezer.")
        self.classifier, self.squeezers = classifier, tuple(squeezers)

    @property
    def _squeezed(self) -> list[Guarded]:
        return [Guarded(self.classifier, squeezer, "best") for squeezer in self.squeezers]

    def distances(self, images: Tensor) -> Tensor:
        """The L1 distance of each squeezer's prediction from the plain one: squeezers × N."""
        images = self.classifier.accepted(images)
        plain = self.classifier(images).softmax(1)
        return torch.stack([(plain - squeezed(images).softmax(1)).abs().sum(1) for squeezed in self._squeezed])

    def score(self, images: Tensor) -> Tensor:
        return self.distances(images).amax(0)

    @torch.no_grad()
    def restored(self, images: Tensor) -> Tensor:
        """The class with the largest mean probability over the squeezed pictures."""
        images = images.to(self.classifier.device)
        return torch.stack([squeezed(images).softmax(1) for squeezed in self._squeezed]).mean(0).argmax(1)


class MaskDisagreement(Detector):
    """f2 reads the picture's attention mask: the log-odds of its likeliest other class against the one f1 sees (Nguyen 2018, figure 3).

    Above 0, f1 and f2 disagree, which is the paper's rule. The masks may be another classifier's: then they transfer.
    """

    name = "mask_disagreement"
    title = "Mask disagreement (LAN)"
    summary = "The mask of what the classifier needs is read by a second network: they should agree."
    paper = "Nguyen 2018, section 3"
    rule = 0.0

    def __init__(self, classifier: Classifier, attention: Attention) -> None:
        if attention.about.domain != classifier.domain:
            raise BadInput(f"These attention masks belong to {attention.about.domain!r}, not to {classifier.domain!r}.")
        self.classifier, self.attention = classifier, attention
        if attention.about.architecture == "conv":
            self.name, self.title = "convolutional_masks", "Convolutional masks (ours)"
            self.summary = (
                "Masks made from what the classifier's own convolutions say: sharper and with fewer false alarms, but an attack on this "
                "very classifier moves them along."
            )

    def score(self, images: Tensor) -> Tensor:
        images = self.classifier.accepted(images)
        seen = self.classifier(images).argmax(1, keepdim=True)
        read = self.attention.read(images).log_softmax(1)
        rival = read.scatter(1, seen, -torch.inf).amax(1)
        return rival - read.gather(1, seen)[:, 0]

    @torch.no_grad()
    def restored(self, images: Tensor) -> Tensor:
        """The class that f2 reads in the masks."""
        return self.attention.read(self.classifier.accepted(images)).argmax(1)


class Watched(Wrapper):
    """A classifier behind a detector to an attacker who knows both: one more class, *flagged* (Carlini and Wagner 2017b, section 3.3).

    Its logit is the largest of the others plus score − threshold, so that it wins exactly where the detector flags the
    picture. An attack toward a class fools both where it succeeds.
    """

    def __init__(self, detector: Detector, threshold: float) -> None:
        super().__init__(detector.classifier)
        self.detector, self.threshold = detector, threshold
        self.classes = (*self.classes, "flagged")

    def around(self, classifier: Classifier) -> Self:
        twin = super().around(classifier)
        twin.detector = self.detector.around(classifier)
        return twin

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×(K + 1) of N×C×H×W in [0, 1]."""
        images = images.to(self.device)
        logits: Tensor = self.classifier(images)
        over = self.detector.score(images) - self.threshold
        return torch.cat([logits, (logits.amax(1) + over)[:, None]], 1)


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
