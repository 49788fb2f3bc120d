"""The contract of a certificate: what no attack inside a threat model can do to an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from core.declaration import Configurable
from core.inputs import InvalidInput, check_fits, check_images, check_labels
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.registry import Registry
from core.stopwatch import Stopwatch

REGISTRY: Registry[Certificate] = Registry("certificate")


@dataclass(frozen=True)
class Certified:
    """What is promised of N images.

    Attributes:
        predicted: the class that the certificate speaks of, int64 N; -1 where it abstains.
        certified: whether the class is the true one and no attack inside the threat model changes it, bool N.
        margin: a lower bound of the smallest margin (logit of the class minus the largest other) inside the threat model, float64 N;
            above 0 where the class cannot change. NaN where the certificate has none.
        radius: the largest budget of the threat model for which the class is certified, float64 N, in `unit`; 0 where it is not
            certified at any, NaN where the certificate does not work one out.
        unit: of the budget and the radius, such as "total variation in pixels", "L∞" or "L2".
        seconds: how long it took, without the time of `on_progress`; `Certificate.__call__` fills it in.
    """

    predicted: Tensor
    certified: Tensor
    margin: Tensor
    radius: Tensor
    unit: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """What a certificate gets beside the images.

    Attributes:
        title: of the certificate, for its progress.
        generator: of the random numbers.
        on_progress: called by `stopped`.
    """

    title: str
    generator: torch.Generator
    on_progress: OnProgress | None = None

    def stopped(self, done: int, total: int) -> bool:
        """Report progress; whether the work is to stop."""
        return self.on_progress is not None and bool(self.on_progress(Progress(self.title, done, total)))


class Certificate(Configurable, ABC):
    """A lower bound on what an attacker inside a threat model leaves of a classifier's margin.

    A subclass declares its parameters as fields, among them the budget, names itself with the class variables of `Configurable`, and
    writes `certify`.

    Attributes:
        threat_model: one sentence: which changes the promise covers.
        subject: what the promise is about where it is not the classifier itself: a name, then a comma and what that is.
    """

    registry: ClassVar[Registry[Any] | None] = REGISTRY
    threat_model: ClassVar[str] = ""
    subject: ClassVar[str] = ""

    @classmethod
    def subject_name(cls) -> str:
        """The subject in a few words, without its explanation."""
        return cls.subject.partition(",")[0]

    @classmethod
    def fits(cls, classifier: Classifier) -> str | None:
        """Why it cannot certify that classifier, as a sentence; None where it can."""
        return None

    @abstractmethod
    def certify(self, classifier: Classifier, images: Tensor, labels: Tensor, run: Run) -> Certified | None:
        """The promise for checked images N×C×H×W in [0, 1] with labels int64 N; None where `run` was stopped.

        Raises:
            InvalidInput: the certificate is not for that classifier, or its solver failed; the sentence says which.
        """

    def __call__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        on_progress: OnProgress | None = None,
    ) -> Certified | None:
        """The promise for images N×C×H×W in [0, 1] with labels int64 N; None where `on_progress` stopped it.

        Args:
            generator: of the random numbers; seeded with 0 without it.

        Raises:
            InvalidInput: the images or labels do not fit, the certificate is not for that classifier, its solver failed, or what it
                gives is not N values within their ranges.
        """
        clock = Stopwatch()
        check_images(images)
        check_fits(images, classifier.channels, classifier.size)
        check_labels(labels, len(images), len(classifier.classes))
        run = Run(self.title, generator or torch.Generator().manual_seed(0), clock.beside(on_progress))
        certified = self.certify(classifier, images, labels, run)
        if certified is None:
            return None
        problem = _problem(certified, len(images), len(classifier.classes))
        if problem:
            raise InvalidInput(f"What {self.title} gives cannot be used: {problem}.")
        return replace(certified, seconds=clock.seconds)


def _problem(certified: Certified, count: int, classes: int) -> str:
    """What is wrong with a certificate of `count` images; '' where nothing is."""
    values = {name: getattr(certified, name) for name in ("predicted", "certified", "margin", "radius")}
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.shape != (count,) or value.requires_grad:
            return f"{name} must be a tensor of {count} values without a gradient"
    predicted, radius = certified.predicted, certified.radius
    if predicted.dtype != torch.int64 or bool(((predicted < -1) | (predicted >= classes)).any()):
        return f"predicted must hold the numbers of classes, 0 to {classes - 1}, or -1"
    if certified.certified.dtype != torch.bool:
        return "certified must hold True and False"
    if not radius.is_floating_point() or bool((radius < 0).any()):
        return "radius must hold numbers of at least 0, or NaN"
    return "" if isinstance(certified.unit, str) and len(certified.unit) <= 100 else "its unit must be a short text"
