"""The basic iterative method and its form with momentum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import cross_entropy, is_adversarial, per_image
from core.attacks.pgd import PGD
from core.attacks.threat import steepest_step
from core.declaration import FractionFloat, flag, number
from core.models.classifier import Classifier


class BIM(Attack):
    """FGSM in small steps: x_{k+1} = clip_{x,eps}(x_k + step_size·sign(∇L)) (Kurakin et al. 2017, section 2.2)."""

    name: ClassVar[str] = "bim"
    title: ClassVar[str] = "BIM"
    summary: ClassVar[str] = "FGSM again and again in small steps, from the image itself."
    paper: ClassVar[str] = "Kurakin, Goodfellow and Bengio 2017, section 2.2"

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    iterations: int = number(10, 1, 1000, help="Gradient steps.", step=1, slider_max=200, alias="steps")
    step_size: FractionFloat = number(
        1 / 255, 0, 1, help="How far one step goes.", step=0.25 / 255, slider_max=8 / 255, unit="/255"
    )
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        search = PGD(
            eps=self.eps,
            iterations=self.iterations,
            step_size=self.step_size,
            random_start=False,
            early_stop=self.early_stop,
        )
        return search.iterate(classifier, images, labels, goal, generator)


class MIFGSM(Attack):
    """BIM along a running sum of gradients: g_{k+1} = decay·g_k + ∇L/‖∇L‖₁ (Dong et al. 2018, equations 6-7).

    The running direction carries over to classifiers that the attacker never saw better than the gradient itself does.
    """

    name: ClassVar[str] = "mifgsm"
    title: ClassVar[str] = "MI-FGSM"
    summary: ClassVar[str] = "BIM with momentum: it transfers better to other classifiers."
    paper: ClassVar[str] = "Dong et al. 2018, equations 6-7"

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    iterations: int = number(
        10, 1, 1000, help="Gradient steps of eps/steps each.", step=1, slider_max=200, alias="steps"
    )
    decay: FractionFloat = number(1.0, 0, 2, help="How much of the last direction stays; 0 is BIM.", step=0.1)
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        batch = ActiveBatch(classifier, images, labels, goal)
        x_adv, velocity, step_size = images, torch.zeros_like(images), self.eps / self.iterations
        moving = torch.ones_like(labels, dtype=torch.bool)
        for step_index in range(self.iterations + 1):
            points, gradient = batch.loss_and_grad(x_adv, cross_entropy)
            yield points.step(step_index, self.iterations, goal.targets)
            if self.early_stop and bool((points.fooled & moving).any()):
                moving = moving & ~(points.fooled & is_adversarial(classifier, x_adv, labels, goal))
            if step_index == self.iterations or not bool(moving.any()):
                return
            length = gradient.abs().mean((1, 2, 3), keepdim=True)
            velocity = self.decay * velocity + gradient / length.clamp(min=1e-20)
            moved = steepest_step(x_adv, velocity, images, self.eps, "linf", step_size)
            x_adv = torch.where(per_image(moving), moved, x_adv)
