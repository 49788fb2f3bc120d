"""The bookkeeping of an attack: which images are still worked on, and the best point of each so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.attacks.base import Criterion, Step
from core.attacks.losses import Loss, is_adversarial, loss_and_grad
from core.models.classifier import Classifier


@dataclass(frozen=True)
class Points:
    """One point for each of N images, and what is known of it.

    Attributes:
        images: N×C×H×W in [0, 1].
        logits: what the attacked classifier says of them, N×K.
        loss: the attacker's loss, N; larger is better for the attacker.
        fooled: which serve the goal before 8-bit rounding, bool N.
        extras: further values by name, a row an image.
    """

    images: Tensor
    logits: Tensor
    loss: Tensor
    fooled: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, rows: Tensor) -> Points:
        """Some of the points (int64 or bool)."""
        extras = {name: value[rows] for name, value in self.extras.items()}
        return Points(self.images[rows], self.logits[rows], self.loss[rows], self.fooled[rows], extras)

    def merged(self, index: Tensor, points: Points) -> Points:
        """These points with `points` in the rows `index` (int64, ascending)."""
        if len(index) == len(self.loss):
            return points
        return Points(
            self.images.index_copy(0, index, points.images),
            self.logits.index_copy(0, index, points.logits),
            self.loss.index_copy(0, index, points.loss),
            self.fooled.index_copy(0, index, points.fooled),
            {name: value.index_copy(0, index, points.extras[name]) for name, value in self.extras.items()},
        )

    def step(self, step_index: int, total: int, targets: Tensor | None) -> Step:
        return Step(step_index, total, self.images, self.logits, self.loss, self.fooled, targets)


class ActiveBatch:
    """A batch under attack. Images that are finished cost nothing more: only the active ones are evaluated.

    Attributes:
        active: the images still worked on, int64, ascending.
        best: the best point of each image of the whole batch.
        survived: which images met a point that serves the goal as an 8-bit file, bool N.
        survivors: the first such point of each of them; other rows mean nothing. None before there is one.
        targets: the class that each image is pushed toward, as the steps tell it.
    """

    def __init__(self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion) -> None:
        self.classifier, self.images, self.labels, self.goal = classifier, images, labels, goal
        self.targets = goal.targets
        self.active = torch.arange(len(images), device=images.device)
        self.survived = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        logits = images.new_zeros(len(images), len(classifier.classes))
        # Worse than every point that is evaluated.
        self.best = Points(images, logits, torch.full_like(logits[:, 0], -torch.inf), self.survived)
        self.survivors: Points | None = None

    @staticmethod
    def start(classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, loss: Loss) -> ActiveBatch:
        """A batch whose best points are the clean images."""
        batch = ActiveBatch(classifier, images, labels, goal)
        batch.best = batch.evaluate(images, loss)
        return batch

    @property
    def finished(self) -> bool:
        return len(self.active) == 0

    def rows(self, values: Tensor) -> Tensor:
        """What belongs to the active images, of values for the whole batch."""
        return values if len(self.active) == len(values) else values[self.active]

    @property
    def active_goal(self) -> Criterion:
        return self.goal if len(self.active) == len(self.labels) else self.goal.select(self.active)

    def points(self, x_adv: Tensor, logits: Tensor, loss: Tensor, **extras: Tensor) -> Points:
        """Points of the active images."""
        return Points(x_adv, logits, loss, self.active_goal.satisfied(logits, self.rows(self.labels)), extras)

    def evaluate(self, x_adv: Tensor, loss: Loss) -> Points:
        """The points `x_adv` of the active images, with the classifier's logits; without a gradient."""
        with torch.no_grad():
            logits = self.classifier(x_adv)
            return self.points(x_adv, logits, loss(logits, self.rows(self.labels), self.active_goal))

    def loss_and_grad(self, x_adv: Tensor, loss: Loss, goal: Criterion | None = None) -> tuple[Points, Tensor]:
        """The points `x_adv` of the active images and the loss's gradient there; the loss is for `goal`, where one is given."""
        goal = self.active_goal if goal is None else goal
        value, gradient, logits = loss_and_grad(self.classifier, x_adv, self.rows(self.labels), goal, loss)
        return self.points(x_adv, logits, value), gradient

    def is_adversarial(self, x_adv: Tensor, candidates: Tensor, goal: Criterion | None = None) -> Tensor:
        """Which `candidates` (bool) among the active images' points serve the goal as 8-bit files: bool."""
        result = torch.zeros_like(candidates)
        if bool(candidates.any()):
            goal = (self.active_goal if goal is None else goal).select(candidates)
            labels = self.rows(self.labels)[candidates]
            result[candidates] = is_adversarial(self.classifier, x_adv[candidates], labels, goal)
        return result

    def update(self, points: Points, *, early_stop: bool) -> Tensor:
        """Note points of the active images; bool: which of them go on, all unless they stop early."""
        self.update_best(points)
        return self.freeze_successes(points, early_stop=early_stop)

    def update_best(self, points: Points) -> None:
        """Keep the points of the active images that are better: fooled first, then by the loss."""
        best, loss = self.rows(self.best.fooled), self.rows(self.best.loss)
        self.merge(points, (points.fooled & ~best) | ((points.fooled == best) & (points.loss > loss)))

    def freeze_successes(self, points: Points, *, early_stop: bool) -> Tensor:
        """Note the active images that fool even as 8-bit files for the first time.

        With `early_stop` they are finished, and what is returned of them is this point, whatever its loss.

        Returns:
            which of the images that were active go on: bool.
        """
        safe = self.is_adversarial(points.images, points.fooled & ~self.rows(self.survived))
        if bool(safe.any()):
            index = self.active[safe]
            self.survivors = (self.best if self.survivors is None else self.survivors).merged(index, points[safe])
            self.survived = self.survived.index_fill(0, index, True)
        if not early_stop:
            return torch.ones_like(safe)
        self.merge(points, safe)
        self.finish(~safe)
        return ~safe

    def merge(self, points: Points, chosen: Tensor | None = None) -> None:
        """Take over these points of the active images, or the `chosen` (bool) ones of them, as the best."""
        if chosen is None or bool(chosen.all()):
            self.best = self.best.merged(self.active, points)
        elif bool(chosen.any()):
            self.best = self.best.merged(self.active[chosen], points[chosen])

    def activate(self, chosen: Tensor) -> None:
        """Work on the `chosen` images (bool N) from here on, finished or not."""
        self.active = chosen.nonzero()[:, 0]

    def finish(self, going: Tensor) -> None:
        """Work on those of the active images only that are `going` on (bool)."""
        self.active = self.active[going]

    def restore_survivors(self) -> bool:
        """Replace best points that fool only before 8-bit rounding where another one survived it; whether any was replaced."""
        self.activate(self.survived)
        if self.survivors is None:
            return False
        points = self.rows(self.best.images)
        lost = ~self.is_adversarial(points, torch.ones_like(self.active, dtype=torch.bool))
        self.merge(self.survivors[self.active], lost)
        return bool(lost.any())

    def step(self, step_index: int, total: int) -> Step:
        """The best points of the whole batch as a step."""
        return self.best.step(step_index, total, self.targets)
