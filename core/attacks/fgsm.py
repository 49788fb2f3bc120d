"""The fast gradient sign method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import cross_entropy, loss_and_grad
from core.attacks.threat import steepest_step
from core.declaration import FractionFloat, choice, number
from core.models.classifier import Classifier


class FGSM(Attack):
    """One step of eps along the sign of the gradient: x' = clip(x + eps·sign(∇L(x, y))) (Goodfellow et al. 2015, section 4).

    With a target the step goes toward it (Kurakin et al. 2017, section 2.3).
    """

    name: ClassVar[str] = "fgsm"
    title: ClassVar[str] = "FGSM"
    summary: ClassVar[str] = "One step along the sign of the gradient."
    paper: ClassVar[str] = "Goodfellow, Shlens and Szegedy 2015, section 4"

    single_step: ClassVar[bool] = True

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    away_from: Literal["true label", "predicted label"] = choice(
        "true label", help="The label that the step leaves; the predicted one needs no knowledge of the true one."
    )

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        source = labels
        if self.away_from == "predicted label" and not goal.targeted:
            with torch.no_grad():
                source = classifier(images).argmax(1)
        batch = ActiveBatch(classifier, images, labels, goal)
        value, gradient, logits = loss_and_grad(classifier, images, source, goal)
        yield batch.points(images, logits, value).step(0, 1, goal.targets)
        x_adv = steepest_step(images, gradient, images, self.eps, "linf", self.eps)
        with torch.no_grad():
            logits = classifier(x_adv)
        yield batch.points(x_adv, logits, cross_entropy(logits, source, goal)).step(1, 1, goal.targets)
