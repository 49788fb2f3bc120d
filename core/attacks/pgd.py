"""Projected gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.base import Attack, Goal, Step
from core.attacks.losses import attack_loss, is_adversarial, loss_and_grad
from core.attacks.threat import project, random_start, steepest_direction
from core.declaration import Real, choice, flag, number, outside
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams


class PGD(Attack):
    """Steps along the gradient, each projected onto the ball around the picture (Madry et al. 2018, equation 2.1 and below).

    x_{k+1} = Π(x_k + step_size·sign(∇L)) for L∞, and along ∇L/‖∇L‖₂ for L2.

    Raises:
        BadInput: eps above 1 with L∞, where it would mean nothing.
    """

    name: ClassVar[str] = "pgd"
    title: ClassVar[str] = "PGD"
    summary: ClassVar[str] = "Many small gradient steps, each projected back into the ball."
    paper: ClassVar[str] = "Madry et al. 2018, equation 2.1"

    eps: Real = number(
        8 / 255, 0, 10, help="The radius of the ball around the picture.", step=1 / 255, usual=32 / 255, unit="/255"
    )
    iterations: int = number(40, 1, 1000, help="Gradient steps.", step=1, usual=200, alias="steps")
    step_size: Real | None = number(
        None,
        0,
        10,
        help="How far one step goes; 2.5·eps/steps when worked out.",
        step=0.25 / 255,
        usual=8 / 255,
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

    def check(self, given: Mapping[str, Any]) -> None:
        if self.norm == "linf" and self.eps > 1:
            raise BadInput(outside(self.title, "eps", given.get("eps", self.eps), "most", 1, "in L∞ "))

    @property
    def stride(self) -> float:
        """How far one step goes, in units of [0, 1]."""
        return 2.5 * self.eps / self.iterations if self.step_size is None else self.step_size

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        search = _Search(self, classifier, images, labels, goal, generator)
        total = self.iterations * self.restarts
        for restart in range(self.restarts):
            yield from search.once(restart * self.iterations, total)
            if search.finished:
                break
        yield search.result(total)


class _Search:
    """One batch under attack: what is still being attacked, and the best that was met."""

    def __init__(
        self,
        attack: PGD,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Goal,
        generator: torch.Generator,
    ) -> None:
        self.attack, self.classifier, self.goal = attack, classifier, goal
        self.streams = RandomStreams.of(images, generator)
        self.images, self.labels = images, labels
        self.open = torch.arange(len(images), device=images.device)  # the pictures still being attacked
        self.best: Step | None = None
        self.file: Step | None = None  # the first point of each picture that fools as an 8-bit file
        self.held = torch.zeros(len(images), dtype=torch.bool, device=images.device)  # which pictures have one
        self.done = 0

    @property
    def finished(self) -> bool:
        return len(self.open) == 0

    def once(self, before: int, total: int) -> Iterator[Step]:
        """One run from a start of its own, over the pictures that are still open."""
        attack = self.attack
        now = self.images
        # A second run from the same point would find the same, so every restart begins at random.
        if attack.random_start or before:
            now = random_start(self.images, attack.eps, attack.norm, self.streams)
        if self.best is not None and attack.early_stop:
            now = self.best.images.index_copy(0, self.open, now[self.open])  # those that are done stay as they are
        for step_index in range(before, before + attack.iterations + 1):
            self.done = step_index
            last = step_index == before + attack.iterations
            step, gradient = self._look(now, step_index, total, with_gradient=not last)
            self._remember(step)
            yield step
            looked_at = self.open
            if attack.early_stop or attack.keep == "best":
                self._round(step)
            if last or self.finished:
                return
            assert gradient is not None
            if len(self.open) < len(looked_at):
                gradient = gradient[torch.isin(looked_at, self.open)]
            now = self._move(now, gradient)

    def _look(self, now: Tensor, step_index: int, total: int, with_gradient: bool) -> tuple[Step, Tensor | None]:
        """The step at `now`, and the gradient there of the pictures still open."""
        everything = len(self.open) == len(now)
        part = now if everything else now[self.open]
        labels, goal = (self.labels, self.goal) if everything else (self.labels[self.open], self.goal.at(self.open))
        gradient = None
        if with_gradient:
            gradient, gain, logits = loss_and_grad(self.classifier, part, labels, goal, self.attack.loss)
        else:
            with torch.no_grad():
                logits = self.classifier(part)
                gain = attack_loss(logits, labels, goal, self.attack.loss)
        if not everything:
            assert self.best is not None
            logits = self.best.logits.index_copy(0, self.open, logits)
            gain = self.best.loss.index_copy(0, self.open, gain)
        fooled = self.goal.reached(logits, self.labels)
        return Step(step_index, total, now, logits, gain, fooled, self.goal.targets), gradient

    def _move(self, now: Tensor, gradient: Tensor) -> Tensor:
        attack = self.attack
        if len(self.open) == len(now):
            return project(
                now + attack.stride * steepest_direction(gradient, attack.norm), self.images, attack.eps, attack.norm
            )
        part = now[self.open] + attack.stride * steepest_direction(gradient, attack.norm)
        return now.index_copy(0, self.open, project(part, self.images[self.open], attack.eps, attack.norm))

    def _round(self, step: Step) -> None:
        """Note the pictures that fool even as an 8-bit file for the first time; an attack that stops early leaves them alone."""
        fresh = self.open[step.fooled[self.open] & ~self.held[self.open]]
        if len(fresh) == 0:
            return
        sure = fresh[is_adversarial(self.classifier, step.images[fresh], self.labels[fresh], self.goal.at(fresh))]
        chosen = _mask(sure, len(self.images))
        self.file = step if self.file is None else self.file.where(chosen, step)
        self.held = self.held | chosen
        if self.attack.early_stop:
            assert self.best is not None
            # What is closed here is what will be returned, whatever its loss.
            self.best = self.best.where(chosen, step)
            self.open = self.open[~torch.isin(self.open, sure)]

    def _remember(self, step: Step) -> None:
        if self.best is None or self.attack.keep == "last":
            self.best = step
            return
        better = (step.fooled & ~self.best.fooled) | ((step.fooled == self.best.fooled) & (step.loss > self.best.loss))
        self.best = self.best.where(better, step)

    def result(self, total: int) -> Step:
        """The pictures to return. The best point fools, but maybe not as a file; then one that does takes its place."""
        assert self.best is not None
        if self.attack.keep == "best" and not self.attack.early_stop and self.file is not None:
            run = self.held.nonzero()[:, 0]
            safe = is_adversarial(self.classifier, self.best.images[run], self.labels[run], self.goal.at(run))
            self.best = self.best.where(_mask(run[~safe], len(self.images)), self.file)
        return Step(
            self.done, total, self.best.images, self.best.logits, self.best.loss, self.best.fooled, self.best.targets
        )


def _mask(index: Tensor, length: int) -> Tensor:
    return torch.zeros(length, dtype=torch.bool, device=index.device).index_fill(0, index, True)
