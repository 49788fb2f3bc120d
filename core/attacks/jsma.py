"""JSMA: a few values, each moved all the way, chosen by a saliency map of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import gradient_of, margin
from core.declaration import FractionFloat, choice, flag, number
from core.models.classifier import Classifier

MOST = 1024  # values that are paired with each other at most


class JSMA(Attack):
    """Moves the pair of values (p, q) with the largest -α·β by theta, again and again (Papernot et al. 2016, algorithm 3).

    α is the sum over the pair of the target's derivative, β that of all other classes' derivatives; α > 0 > β for an increase,
    the reverse for a decrease. Of probabilities (the paper's F) β is -α, and the pair is the two largest derivatives; they are
    taken of log F, which ranks alike and does not vanish where the classifier is sure. Of logits β is another map. Without a
    goal the target is the likeliest other class. The matrix of all pairs is never built: a pair that is best consists of values
    which at most one other value beats in both derivatives, and there are few of those.
    """

    name: ClassVar[str] = "jsma"
    title: ClassVar[str] = "JSMA"
    summary: ClassVar[str] = "Few values, each moved far: an attack that counts pixels (L0)."
    paper: ClassVar[str] = "Papernot et al. 2016, algorithm 3"
    minimal_norm: ClassVar[bool] = True

    theta: FractionFloat = number(1.0, 0.01, 1, help="How far a chosen value moves each time.", step=0.05)
    gamma: FractionFloat = number(0.1, 0, 1, help="The largest share of the values that may be moved.", step=0.01)
    direction: Literal["increase", "decrease"] = choice("increase", help="Make values brighter or darker.")
    saliency: Literal["probabilities", "logits"] = choice(
        "probabilities",
        help="What the map is made of: probabilities need fewer values, logits are the map of two halves.",
    )
    rounding: bool = flag(True, help="Go on until the image fools as an 8-bit file too.")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        n, size = len(images), images[0].numel()
        with torch.no_grad():
            logits = classifier(images)
        targets = goal.targets
        if targets is None:
            targets = logits.scatter(1, labels[:, None], -torch.inf).argmax(1)
        sign = 1.0 if self.direction == "increase" else -1.0
        batch = ActiveBatch(classifier, images, labels, goal)
        batch.targets = targets
        x_adv = images
        touched = torch.zeros(n, size, dtype=torch.bool, device=images.device)
        # Every iteration moves two values; values that are moved in several steps count once toward gamma.
        total = max(1, int(self.gamma * size / 2 * max(1.0, 1 / self.theta)))
        for step_index in range(total + 1):
            aims = batch.rows(targets)
            toward, away, logits = _derivatives(classifier, x_adv, aims, self.saliency)
            points = batch.points(x_adv, logits, margin(logits, batch.rows(labels), Criterion(aims)))
            batch.merge(points)
            yield batch.step(step_index, total)
            going = ~(batch.is_adversarial(x_adv, points.fooled) if self.rounding else points.fooled)
            if step_index == total or not bool(going.any()):
                return
            flat = x_adv.flatten(1)
            room = flat < 1 - 1e-6 if sign > 0 else flat > 1e-6
            full = touched.sum(1) + 2 > self.gamma * size
            room = torch.where(full[:, None], room & touched, room)
            pair, useful = best_pair(sign * toward.flatten(1), -sign * away.flatten(1), room)
            going = going & useful
            batch.finish(going)
            if batch.finished:
                return
            pair, flat, touched = pair[going], flat[going], touched[going].scatter(1, pair[going], True)
            moved = flat.scatter(1, pair, (flat.gather(1, pair) + sign * self.theta).clamp(0, 1))
            x_adv = moved.view(-1, *images.shape[1:])


def _derivatives(
    classifier: Classifier, images: Tensor, targets: Tensor, saliency: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The target's derivative and the sum of the other classes' (both N×C×H×W), up to a factor above 0, and the logits."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = classifier(leaf)
        if saliency == "probabilities":
            toward = gradient_of(logits.log_softmax(1).gather(1, targets[:, None]).sum(), leaf)
            return toward, -toward, logits.detach()
        toward = gradient_of(logits.gather(1, targets[:, None]).sum(), leaf, retain_graph=True)
        every = gradient_of(logits.sum(), leaf)
    return toward, every - toward, logits.detach()


def best_pair(a: Tensor, b: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """The two allowed values of each row (a, b: N×D) with the largest (a_p + a_q)·(b_p + b_q) where both sums are positive.

    The product grows with both sums, so a value that two others beat in a and in b is in no best pair (one of the two could
    take its place). What is left after that sieve is small, and only it is paired.

    Returns:
        int64 N×2, and bool N: whether there is such a pair.
    """
    a, b = a.masked_fill(~allowed, -torch.inf), b.masked_fill(~allowed, -torch.inf)
    order = torch.argsort(a, dim=1, descending=True, stable=True)
    sorted_b = b.gather(1, order)
    largest = sorted_b.cummax(1).values
    # The second largest so far: a new value, or the one that it pushed off the top.
    lesser = torch.minimum(sorted_b[:, 1:], largest[:, :-1])
    second = torch.cat([torch.full_like(sorted_b[:, :1], -torch.inf), lesser], 1).cummax(1).values
    before = torch.cat([torch.full_like(second[:, :1], -torch.inf), second[:, :-1]], 1)
    candidates = (sorted_b > before) & sorted_b.isfinite()
    count = int(candidates.sum(1).max().clamp(2, min(MOST, a.shape[1])))
    # The candidates first, in the order of a.
    places = torch.where(candidates, torch.arange(a.shape[1], device=a.device), a.shape[1])
    chosen = places.topk(count, dim=1, largest=False).values
    real = chosen < a.shape[1]
    index = order.gather(1, chosen.clamp(max=a.shape[1] - 1))
    one_a = a.gather(1, index).masked_fill(~real, -torch.inf)
    one_b = b.gather(1, index).masked_fill(~real, -torch.inf)
    sum_a, sum_b = one_a[:, :, None] + one_a[:, None, :], one_b[:, :, None] + one_b[:, None, :]
    product = torch.where((sum_a > 0) & (sum_b > 0), sum_a * sum_b, -torch.inf)
    same = torch.eye(count, dtype=torch.bool, device=a.device)
    value, at = product.masked_fill(same, -torch.inf).flatten(1).max(1)
    rows = torch.stack([at // count, at % count], 1)
    return index.gather(1, rows), value > 0
