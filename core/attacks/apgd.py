"""APGD: PGD that chooses its own step size; two parts of AutoAttack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import Loss, cross_entropy, dlr, per_image
from core.attacks.threat import project, steepest_direction, steepest_step
from core.declaration import FractionFloat, choice, flag, number, outside
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams


class _APGD(Attack):
    """The search that APGD-CE and APGD-T share (Croce and Hein 2020, algorithm 1 with the published schedule)."""

    eps: FractionFloat = number(
        8 / 255, 0, 10, help="The radius of the ball around the image.", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    iterations: int = number(100, 5, 1000, help="Gradient steps of one run.", step=5, slider_max=200, alias="steps")
    norm: Literal["linf", "l2"] = choice(
        "linf", help="What the ball measures: the largest change, or the Euclidean length."
    )
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def check(self, written: Mapping[str, Any]) -> None:
        if self.norm == "linf" and self.eps > 1:
            raise InvalidInput(outside(self.title, "eps", written.get("eps", self.eps), "most", 1, "in L∞ "))

    def run(
        self,
        batch: ActiveBatch,
        loss: Loss,
        targets: Tensor | None,
        streams: RandomStreams,
        before: int,
        total: int,
    ) -> Iterator[Step]:
        """One run on the active images of `batch`, which keeps the best point of each.

        Args:
            loss: what is climbed, away from the labels or toward `targets` (int64 N, of the whole batch) where they are given.
            before: iterations of earlier runs. total: iterations of all runs.
        """
        steps, eps, norm = self.iterations, self.eps, self.norm
        interval, shortest, less = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
        x = batch.rows(batch.images)
        goal = Criterion() if targets is None else Criterion(batch.rows(targets))
        x_adv = _start(x, eps, norm, streams.at(batch.active))
        previous, step_size = x_adv, x.new_full((len(x),), 2 * eps)
        best, best_gradient = x_adv, torch.zeros_like(x_adv)
        best_loss = last_loss = checkpoint_loss = x.new_full((len(x),), -torch.inf)
        step_reduced, n_increases = torch.ones(len(x), dtype=torch.bool, device=x.device), x.new_zeros(len(x))
        since = 0
        for k in range(steps + 1):
            points, gradient = batch.loss_and_grad(x_adv, loss, goal)
            going = batch.update(points, early_stop=self.early_stop)
            yield batch.step(before + k, total)
            if k == steps or batch.finished:
                return
            n_increases, since = n_increases + (points.loss > last_loss), since + 1 if k else 0
            last_loss = points.loss
            better = last_loss > best_loss
            best = torch.where(per_image(better), x_adv, best)
            best_gradient = torch.where(per_image(better), gradient, best_gradient)
            best_loss = torch.where(better, last_loss, best_loss)
            if k == 0:
                checkpoint_loss, n_increases = best_loss, torch.zeros_like(n_increases)
            if since == interval:
                halve = (n_increases <= 0.75 * interval) | (~step_reduced & (checkpoint_loss >= best_loss))
                step_reduced, checkpoint_loss, n_increases, since = halve, best_loss, torch.zeros_like(n_increases), 0
                step_size = torch.where(halve, step_size / 2, step_size)
                x_adv = torch.where(per_image(halve), best, x_adv)
                gradient = torch.where(per_image(halve), best_gradient, gradient)
                interval = max(interval - less, shortest)
            if not bool(going.all()):
                goal = goal.select(going)
                x, x_adv, previous, best = (rows[going] for rows in (x, x_adv, previous, best))
                gradient, best_gradient = gradient[going], best_gradient[going]
                best_loss, last_loss, checkpoint_loss = best_loss[going], last_loss[going], checkpoint_loss[going]
                step_size, step_reduced, n_increases = step_size[going], step_reduced[going], n_increases[going]
            share = 0.75 if k else 1.0
            forward = steepest_step(x_adv, gradient, x, eps, norm, per_image(step_size))
            moved = project(x_adv + share * (forward - x_adv) + (1 - share) * (x_adv - previous), x, eps, norm)
            previous, x_adv = x_adv, moved


class APGDCE(_APGD):
    """PGD on the cross-entropy with momentum and a step size of its own finding (Croce and Hein 2020, algorithm 1).

    x_{k+1} = Π(x_k + 0.75·(z - x_k) + 0.25·(x_k - x_{k-1})) with z = Π(x_k + step_size·s(∇L)), the step beginning at 2·eps;
    where the loss stops rising the step is halved and the search goes back to the best point.
    """

    name: ClassVar[str] = "apgd_ce"
    title: ClassVar[str] = "APGD-CE"
    summary: ClassVar[str] = "PGD that needs no step size: it finds its own."
    paper: ClassVar[str] = "Croce and Hein 2020, algorithm 1"

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        batch = ActiveBatch.start(classifier, images, labels, goal, cross_entropy)
        streams = RandomStreams.of(images, generator)
        yield from self.run(batch, cross_entropy, goal.targets, streams, 0, self.iterations)
        if batch.restore_survivors():
            yield batch.step(self.iterations, self.iterations)


class APGDT(_APGD):
    """APGD on the difference of logits ratio toward each of the likeliest other classes in turn (Croce and Hein 2020, equation 7)."""

    name: ClassVar[str] = "apgd_t"
    title: ClassVar[str] = "APGD-T"
    summary: ClassVar[str] = "APGD toward each of the likeliest other classes in turn."
    paper: ClassVar[str] = "Croce and Hein 2020, equation 7"

    classes: int = number(9, 1, 100, help="How many of the likeliest other classes are tried.", step=1, slider_max=20)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        if len(classifier.classes) < 4:
            raise InvalidInput("APGD-T needs a classifier with at least 4 classes; use APGD-CE here.")
        targeted = goal.targets is not None
        batch = ActiveBatch.start(classifier, images, labels, goal, cross_entropy if targeted else dlr)
        streams = RandomStreams.of(images, generator)
        order = batch.best.logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
        tried = 1 if targeted else min(self.classes, len(classifier.classes) - 1)
        total = tried * self.iterations
        for rank in range(tried):
            targets = goal.targets if targeted else order[:, rank]
            yield from self.run(batch, dlr, targets, streams, rank * self.iterations, total)
            if not targeted and batch.finished:
                return
        if not targeted:
            yield batch.step(total, total)
        if batch.restore_survivors():
            yield batch.step(total, total)


def _start(images: Tensor, eps: float, norm: Literal["linf", "l2"], streams: RandomStreams) -> Tensor:
    """A random point on the ball's surface, as the published code starts."""
    if norm == "linf":
        noise = streams.rand(*images.shape[1:]) * 2 - 1
        noise = noise / noise.flatten(1).abs().amax(1).clamp(min=1e-12).view(-1, 1, 1, 1)
    else:
        noise = steepest_direction(streams.randn(*images.shape[1:]), "l2")
    return project(images + eps * noise.to(images), images, eps, norm)
