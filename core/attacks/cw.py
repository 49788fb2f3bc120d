"""Carlini and Wagner's L2 attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch, Points
from core.attacks.adam import Adam
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import margin, per_image
from core.declaration import FractionFloat, choice, flag, number
from core.models.classifier import Classifier

# searches over c, iterations of each, learning rate, first c
PRESETS: dict[str, tuple[int, int, float, float]] = {
    "quick": (5, 20, 0.005, 0.1),
    "thorough": (9, 1000, 0.003, 1e-2),
}
STEP_GROWTH = 5  # times: how much longer the steps are after a search that fails
REACH = 80  # divided by the squared iterations: the longest step; a search of many short steps reaches as far, and settles better
BISECTIONS = 5  # bisections of the way back to the image
CHECK_INTERVAL = 10  # iterations between two looks at whether an image's loss still falls


class CW(Attack):
    """The shortest change (L2) that fools: min ‖x' - x‖² + c·max(Z_source - max Z_other, -κ) (Carlini and Wagner 2017, section V).

    Adam moves x' itself and every step is cut to the box (the paper's projected gradient descent), not w with x' = (tanh(w) + 1)/2
    as in the authors' code: tanh is flat at 0 and 1, where whole backgrounds lie, and they would hardly move. Each image has its
    own c, ten times larger from search to search until one fools, then bisected. What is returned is the shortest change met that
    serves the goal, and the image itself where none was met. Also unlike the authors' code, a search goes on from where the last
    one ended. Steps are longer after a search that fails, so that a distant boundary is reached too, and halved by the bisecting
    ones: neighboring values of c have neighboring optima, so a fifth of the iterations finds shorter changes. The shortest is then
    drawn back toward the image as far as it still fools, which takes a few looks and no gradient.
    """

    name: ClassVar[str] = "cw"
    title: ClassVar[str] = "C&W L2"
    summary: ClassVar[str] = "The shortest change that fools, by optimization with a search over the trade-off c."
    paper: ClassVar[str] = "Carlini and Wagner 2017, section V"
    minimal_norm: ClassVar[bool] = True

    preset: Literal["quick", "thorough"] = choice(
        "quick", help="Quick: 5 searches of 20 iterations. Thorough: the paper's 9 of 1,000."
    )
    iterations: int | None = number(
        None,
        1,
        10_000,
        help="Iterations of each search; the preset's unless chosen.",
        step=10,
        slider_max=1000,
        alias="steps",
    )
    binary_search_steps: int | None = number(None, 1, 20, help="Values of c tried; the preset's unless chosen.", step=1)
    learning_rate: FractionFloat | None = number(
        None, 1e-4, 1, help="Adam's first step, in units of [0, 1]; the preset's unless chosen.", step=0.005
    )
    initial_c: FractionFloat | None = number(
        None,
        1e-6,
        1e6,
        help="The first weight of the classifier's error; the preset's unless chosen.",
        step=0.1,
        slider_max=10,
    )
    confidence: FractionFloat = number(
        0.0, 0, 100, help="By how much the wrong logit has to lead (κ).", step=1, slider_max=40
    )
    rounding: bool = flag(True, help="Count a change only if it fools as an 8-bit file too.")

    def plan(self) -> tuple[int, int, float, float]:
        """Searches, iterations of each, learning rate and first c: the preset's where they are not chosen."""
        chosen = (self.binary_search_steps, self.iterations, self.learning_rate, self.initial_c)
        searches, iterations, rate, first = (
            value if value is not None else preset for value, preset in zip(chosen, PRESETS[self.preset], strict=True)
        )
        return int(searches), int(iterations), float(rate), float(first)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        searches, iterations, rate, first = self.plan()
        n, total = len(images), searches * iterations + 1
        low, high = images.new_zeros(n), images.new_full((n,), torch.inf)
        c = images.new_full((n,), first)
        reached = images
        rates = images.new_full((n, 1, 1, 1), rate)
        longest = max(rate, REACH / iterations**2)
        everything = torch.ones_like(labels, dtype=torch.bool)
        batch = ActiveBatch.start(classifier, images, labels, goal, margin)
        batch.best = replace(batch.best, extras={"distance": torch.where(batch.best.fooled, 0.0, torch.inf)})
        yield batch.step(0, total)
        for search in range(searches):
            succeeded = torch.zeros_like(everything)
            # An image whose loss stands still leaves the search: from then on it costs nothing.
            batch.activate(everything)
            x, x_adv, adam = images, reached, Adam(reached)
            previous_loss = images.new_full((n,), torch.inf)
            for k in range(1, iterations + 1):
                points, gradient = batch.loss_and_grad(x_adv, margin)
                distance, fooled = _square(x_adv - x), self._fooled(points)
                better = fooled & (distance < batch.rows(batch.best.extras["distance"]))
                longer = fooled & ~better
                if self.rounding:
                    better = batch.is_adversarial(x_adv, better)
                succeeded[batch.active] |= better | longer  # c was large enough
                batch.merge(replace(points, fooled=fooled, extras={"distance": distance}), better)
                yield batch.step(search * iterations + k, total)
                if k == iterations:
                    break
                # The gradient of ‖x' - x‖² - c·loss where the loss is below the confidence
                weight = batch.rows(c)
                unsatisfied = (points.loss < self.confidence) | ~fooled
                slope = 2 * (x_adv - x) - per_image(weight * unsatisfied) * gradient
                x_adv = (x_adv - adam.step(slope, batch.rows(rates))).clamp(0, 1)
                if k % CHECK_INTERVAL == 0:
                    loss = distance + weight * (self.confidence - points.loss).clamp(min=0)
                    falls = loss <= 0.9999 * previous_loss
                    reached = reached.index_copy(0, batch.active, x_adv)
                    batch.finish(falls)
                    x, x_adv, previous_loss = x[falls], x_adv[falls], loss[falls]
                    adam.select(falls)
                    if batch.finished:
                        # The search is over for all; what follows draws as it does where others still go on.
                        yield batch.step((search + 1) * iterations, total)
                        break
            reached = reached.index_copy(0, batch.active, x_adv)
            high = torch.where(succeeded, torch.minimum(high, c), high)
            low = torch.where(succeeded, low, torch.maximum(low, c))
            bisected = high.isfinite()
            c = torch.where(bisected, (low + high) / 2, c * 10)
            rates = torch.where(per_image(bisected), rates / 2, (rates * STEP_GROWTH).clamp(max=longest))
        self._draw_back(batch)
        yield batch.step(total, total)

    def _fooled(self, points: Points) -> Tensor:
        """Which points serve the goal, by the confidence where one is asked for: bool N."""
        return points.loss >= self.confidence if self.confidence else points.fooled

    def _draw_back(self, batch: ActiveBatch) -> None:
        """Take the nearest points to the images, on the lines to those found, that still serve, to a 300th of the way."""
        batch.activate(batch.best.fooled & (batch.best.extras["distance"] > 0))
        if batch.finished:
            return
        x = batch.rows(batch.images)
        change = batch.rows(batch.best.images) - x
        near, far = x.new_full((len(x),), 0.9), x.new_ones(len(x))
        for _ in range(BISECTIONS):
            share = (near + far) / 2
            points = batch.evaluate(x + per_image(share) * change, margin)
            serves = self._fooled(points)
            if self.rounding:
                serves = batch.is_adversarial(points.images, serves)
            distance = _square(points.images - x)
            batch.merge(replace(points, fooled=serves, extras={"distance": distance}), serves)
            near, far = torch.where(serves, near, share), torch.where(serves, share, far)


def _square(change: Tensor) -> Tensor:
    """The squared L2 norm of each image's change, N."""
    return change.flatten(1).square().sum(1)
