"""Carlini and Wagner's L2 attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.base import Attack, Goal, Step
from core.attacks.losses import attack_loss, is_adversarial, loss_and_grad, per_image
from core.declaration import Real, choice, flag, number
from core.models.classifier import Classifier

# searches over c, iterations of each, learning rate, first c
PRESETS: dict[str, tuple[int, int, float, float]] = {
    "quick": (5, 20, 0.005, 0.1),
    "thorough": (9, 1000, 0.003, 1e-2),
}
LONGER = 5  # times: how much longer the steps are after a search that fails
REACH = 80  # divided by the squared iterations: the longest step; a search of many short steps reaches as far, and settles better
LOOKS = 5  # bisections of the way back to the picture
CHECKED = 10  # iterations between two looks at whether a picture's loss still falls


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
    summary: ClassVar[str] = "The shortest change that fools, by optimisation with a search over the trade-off c."
    paper: ClassVar[str] = "Carlini and Wagner 2017, section V"
    smallest: ClassVar[bool] = True

    preset: Literal["quick", "thorough"] = choice(
        "quick", help="Quick: 5 searches of 20 iterations. Thorough: the paper's 9 of 1,000."
    )
    iterations: int | None = number(
        None,
        1,
        10_000,
        help="Iterations of each search; the preset's unless chosen.",
        step=10,
        usual=1000,
        alias="steps",
    )
    searches: int | None = number(None, 1, 20, help="Values of c tried; the preset's unless chosen.", step=1)
    learning_rate: Real | None = number(
        None, 1e-4, 1, help="Adam's first step, in units of [0, 1]; the preset's unless chosen.", step=0.005
    )
    initial_c: Real | None = number(
        None,
        1e-6,
        1e6,
        help="The first weight of the classifier's error; the preset's unless chosen.",
        step=0.1,
        usual=10,
    )
    confidence: Real = number(0.0, 0, 100, help="By how much the wrong logit has to lead (κ).", step=1, usual=40)
    rounding: bool = flag(True, help="Count a change only if it fools as an 8-bit file too.")

    def plan(self) -> tuple[int, int, float, float]:
        """Searches, iterations of each, learning rate and first c: the preset's where they are not chosen."""
        chosen = (self.searches, self.iterations, self.learning_rate, self.initial_c)
        searches, iterations, rate, first = (
            given if given is not None else preset for given, preset in zip(chosen, PRESETS[self.preset], strict=True)
        )
        return int(searches), int(iterations), float(rate), float(first)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        searches, iterations, rate, first = self.plan()
        n, total = len(images), searches * iterations + 1
        low, high = images.new_zeros(n), images.new_full((n,), torch.inf)
        c = images.new_full((n,), first)
        reached = images
        rates = images.new_full((n, 1, 1, 1), rate)
        longest = max(rate, REACH / iterations**2)
        with torch.no_grad():
            logits = classifier(images)
        best = _Best.begin(images, logits, labels, goal)
        yield best.step(0, total, labels, goal)
        for search in range(searches):
            found = torch.zeros(n, dtype=torch.bool, device=images.device)
            # A picture whose loss stands still leaves the search: from then on it costs nothing.
            run = torch.arange(n, device=images.device)
            point, m, v = reached, torch.zeros_like(reached), torch.zeros_like(reached)
            before = images.new_full((n,), torch.inf)
            for k in range(1, iterations + 1):
                x, y, aim = images[run], labels[run], goal.at(run)
                gradient, gain, logits = loss_and_grad(classifier, point, y, aim, "margin")
                length = _square(point - x)
                fooled = gain >= self.confidence if self.confidence else aim.reached(logits, y)
                better = fooled & (length < best.length[run])
                longer = fooled & ~better
                if self.rounding and bool(better.any()):
                    better = better & is_adversarial(classifier, point, y, aim)
                found[run] |= better | longer  # c was large enough
                best = best.put(run[better], point[better], length[better], logits[better])
                yield best.step(search * iterations + k, total, labels, goal)
                if k == iterations:
                    break
                # The gradient of ‖x' - x‖² - c·gain where gain is below the confidence
                wanted = (gain < self.confidence) | ~fooled
                slope = 2 * (point - x) - per_image(c[run] * wanted) * gradient
                m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
                change = rates[run] * (m / (1 - 0.9**k)) / ((v / (1 - 0.999**k)).sqrt() + 1e-8)
                point = (point - change).clamp(0, 1)
                if k % CHECKED == 0:
                    loss = length + c[run] * (self.confidence - gain).clamp(min=0)
                    keep = loss <= 0.9999 * before
                    reached = reached.index_copy(0, run, point)
                    run, point, m, v, before = run[keep], point[keep], m[keep], v[keep], loss[keep]
                    if len(run) == 0:
                        # The search is over for all; what follows draws as it does where others still go on.
                        yield best.step((search + 1) * iterations, total, labels, goal)
                        break
            reached = reached.index_copy(0, run, point)
            high = torch.where(found, torch.minimum(high, c), high)
            low = torch.where(found, low, torch.maximum(low, c))
            bisected = high.isfinite()
            c = torch.where(bisected, (low + high) / 2, c * 10)
            rates = torch.where(per_image(bisected), rates / 2, (rates * LONGER).clamp(max=longest))
        yield self._drawn_back(best, classifier, images, labels, goal).step(total, total, labels, goal)

    def _drawn_back(self, best: _Best, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal) -> _Best:
        """The nearest points to the images on the lines to those found that still serve, to a 300th of the way."""
        changed = best.fooled & (best.length > 0)
        run = changed.nonzero()[:, 0]
        if len(run) == 0:
            return best
        x, y, aim, change = images[run], labels[run], goal.at(run), best.images[run] - images[run]
        near, far = torch.full_like(best.length[run], 0.9), torch.ones_like(best.length[run])
        for _ in range(LOOKS):
            share = (near + far) / 2
            point = x + per_image(share) * change
            with torch.no_grad():
                logits = classifier(point)
            serves = aim.reached(logits, y)
            if self.confidence:
                serves = attack_loss(logits, y, aim, "margin") >= self.confidence
            if self.rounding:
                serves = serves & is_adversarial(classifier, point, y, aim)
            best = best.put(run[serves], point[serves], _square(point - x)[serves], logits[serves])
            near, far = torch.where(serves, near, share), torch.where(serves, share, far)
        return best


@dataclass(frozen=True)
class _Best:
    """The nearest point to each picture that fooled so far, its squared distance, and what is said of it."""

    images: Tensor
    length: Tensor
    logits: Tensor
    fooled: Tensor

    @staticmethod
    def begin(images: Tensor, logits: Tensor, labels: Tensor, goal: Goal) -> _Best:
        fooled = goal.reached(logits, labels)
        return _Best(images, torch.where(fooled, 0.0, torch.inf), logits, fooled)

    def put(self, run: Tensor, images: Tensor, length: Tensor, logits: Tensor) -> _Best:
        return _Best(
            self.images.index_copy(0, run, images),
            self.length.index_copy(0, run, length),
            self.logits.index_copy(0, run, logits),
            self.fooled.index_fill(0, run, True),
        )

    def step(self, step_index: int, total: int, labels: Tensor, goal: Goal) -> Step:
        gain = attack_loss(self.logits, labels, goal, "margin")
        return Step(step_index, total, self.images, self.logits, gain, self.fooled, goal.targets)


def _square(change: Tensor) -> Tensor:
    """The squared L2 norm of each picture's change, N."""
    return change.flatten(1).square().sum(1)
