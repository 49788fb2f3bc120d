"""Projected gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch, Points
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import LOSSES
from core.attacks.threat import random_start, steepest_step
from core.declaration import FractionFloat, choice, flag, number, outside
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams


class PGD(Attack):
    """Steps along the gradient, each projected onto the ball around the image (Madry et al. 2018, equation 2.1 and below).

    x_{k+1} = Π(x_k + step_size·sign(∇L)) for L∞, and along ∇L/‖∇L‖₂ for L2.

    Raises:
        InvalidInput: eps above 1 with L∞, where it would mean nothing.
    """

    name: ClassVar[str] = "pgd"
    title: ClassVar[str] = "PGD"
    summary: ClassVar[str] = "Many small gradient steps, each projected back into the ball."
    paper: ClassVar[str] = "Madry et al. 2018, equation 2.1"

    eps: FractionFloat = number(
        8 / 255, 0, 10, help="The radius of the ball around the image.", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    iterations: int = number(40, 1, 1000, help="Gradient steps.", step=1, slider_max=200, alias="steps")
    step_size: FractionFloat | None = number(
        None,
        0,
        10,
        help="How far one step goes; 2.5·eps/steps when worked out.",
        step=0.25 / 255,
        slider_max=8 / 255,
        unit="/255",
    )
    norm: Literal["linf", "l2"] = choice(
        "linf", help="What the ball measures: the largest change, or the Euclidean length."
    )
    random_start: bool = flag(True, help="Begin at a random point of the ball.")
    restarts: int = number(1, 1, 20, help="Runs from different random points; the best of them counts.", step=1)
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )
    loss: Literal["cross-entropy", "margin"] = choice(
        "cross-entropy",
        help="What is climbed; the margin of the logits keeps a gradient where the softmax is saturated.",
    )
    keep: Literal["best", "last"] = choice(
        "best", help="What is returned: the best point met (fooled first, then by the loss), or the last."
    )

    def check(self, written: Mapping[str, Any]) -> None:
        if self.norm == "linf" and self.eps > 1:
            raise InvalidInput(outside(self.title, "eps", written.get("eps", self.eps), "most", 1, "in L∞ "))

    @property
    def effective_step_size(self) -> float:
        """How far one step goes, in units of [0, 1]."""
        return 2.5 * self.eps / self.iterations if self.step_size is None else self.step_size

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        run = PGDRun(self, classifier, images, labels, goal, generator)
        total = self.iterations * self.restarts
        for restart in range(self.restarts):
            yield from run.run_restart(restart * self.iterations, total)
            if run.batch.finished:
                break
        yield run.result(total)


class PGDRun:
    """One batch under attack by PGD."""

    def __init__(
        self,
        attack: PGD,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Criterion,
        generator: torch.Generator,
    ) -> None:
        self.attack, self.loss = attack, LOSSES[attack.loss]
        self.streams = RandomStreams.of(images, generator)
        self.batch = ActiveBatch(classifier, images, labels, goal)
        self.step_index = 0

    def run_restart(self, first: int, total: int) -> Iterator[Step]:
        """One run from a start of its own, over the images that are still active; `first` iterations were before."""
        attack, batch = self.attack, self.batch
        x_adv = batch.images
        # A second run from the same point would find the same, so every restart begins at random.
        if attack.random_start or first:
            x_adv = random_start(x_adv, attack.eps, attack.norm, self.streams)
        x, x_adv = batch.rows(batch.images), batch.rows(x_adv)
        for self.step_index in range(first, first + attack.iterations + 1):
            is_last = self.step_index == first + attack.iterations
            points, gradient = self.evaluate(x_adv, with_gradient=not is_last)
            if attack.keep == "last" or self.step_index == 0:
                batch.merge(points)
            else:
                batch.update_best(points)
            yield batch.best.merged(batch.active, points).step(self.step_index, total, batch.targets)
            if attack.early_stop or attack.keep == "best":
                going = batch.freeze_successes(points, early_stop=attack.early_stop)
                if not bool(going.all()):
                    x, x_adv = x[going], x_adv[going]
                    gradient = None if gradient is None else gradient[going]
            if gradient is None or batch.finished:
                return
            x_adv = steepest_step(x_adv, gradient, x, attack.eps, attack.norm, attack.effective_step_size)

    def evaluate(self, x_adv: Tensor, with_gradient: bool) -> tuple[Points, Tensor | None]:
        """The points `x_adv` of the active images, and the gradient there where it is asked for."""
        if with_gradient:
            return self.batch.loss_and_grad(x_adv, self.loss)
        return self.batch.evaluate(x_adv, self.loss), None

    def result(self, total: int) -> Step:
        """The images to return. The best point fools, but maybe not as a file; then one that does takes its place."""
        if self.attack.keep == "best" and not self.attack.early_stop:
            self.batch.restore_survivors()
        return self.batch.step(self.step_index, total)
