"""APGD: PGD that chooses its own step size; two parts of AutoAttack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks.base import Attack, Goal, Step
from core.attacks.losses import gradient_of, is_adversarial, per_image, worst_if_nan
from core.attacks.threat import project, steepest_direction
from core.declaration import Real, choice, flag, number, outside
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams

Gain = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # logits N×K, labels N, targets N or None, to N


def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    """-log p of the label, or log p of the target."""
    if targets is not None:
        return -F.cross_entropy(logits, targets, reduction="none")
    return F.cross_entropy(logits, labels, reduction="none")


def dlr(logits: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    """The difference of logits ratio (Croce and Hein 2020, equations 6 and 7), which no scaling of the logits changes."""
    ordered = logits.sort(1, descending=True).values
    own = logits.gather(1, labels[:, None])[:, 0]
    if targets is None:
        other = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        return (other - own) / (ordered[:, 0] - ordered[:, 2] + 1e-12)
    aim = logits.gather(1, targets[:, None])[:, 0]
    return (aim - own) / (ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3]) + 1e-12)


class _APGD(Attack):
    """The search that APGD-CE and APGD-T share (Croce and Hein 2020, algorithm 1 with the published schedule)."""

    eps: Real = number(
        8 / 255, 0, 10, help="The radius of the ball around the picture.", step=1 / 255, usual=32 / 255, unit="/255"
    )
    iterations: int = number(100, 5, 1000, help="Gradient steps of one run.", step=5, usual=200, alias="steps")
    norm: Literal["linf", "l2"] = choice(
        "linf", help="What the ball measures: the largest change, or the Euclidean length."
    )
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def check(self, given: Mapping[str, Any]) -> None:
        if self.norm == "linf" and self.eps > 1:
            raise BadInput(outside(self.title, "eps", given.get("eps", self.eps), "most", 1, "in L∞ "))

    def climb_to(
        self,
        state: State,
        gain: Gain,
        targets: Tensor | None,
        streams: RandomStreams,
        before: int,
        total: int,
    ) -> Iterator[Step]:
        """One run on the pictures of `state` that are open; what fools is kept there, the rest keeps its best attempt."""
        steps, eps = self.iterations, self.eps
        interval, shortest, less = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
        run = state.open
        x, y = state.images[run], state.labels[run]
        aims = None if targets is None else targets[run]
        now = _start(x, eps, self.norm, streams.at(run))
        old, stride = now, x.new_full((len(x),), 2 * eps)
        top, top_gradient = now, torch.zeros_like(now)
        highest = x.new_full((len(x),), -torch.inf)
        checked, reduced, rises = highest, torch.ones(len(x), dtype=torch.bool, device=x.device), x.new_zeros(len(x))
        last, since = highest, 0
        for k in range(steps + 1):
            gradient, value, logits = _slope(state.classifier, now, y, aims, gain)
            keep = state.take(run, now, logits, value, self.early_stop)
            yield state.step(before + k, total)
            if k == steps or not bool(keep.any()):
                return
            rises, since = rises + (value > last), since + 1 if k else 0
            last = value
            better = value > highest
            top, top_gradient = (
                torch.where(per_image(better), now, top),
                torch.where(per_image(better), gradient, top_gradient),
            )
            highest = torch.where(better, value, highest)
            if k == 0:
                checked, rises = highest, torch.zeros_like(rises)
            if since == interval:
                halve = (rises <= 0.75 * interval) | (~reduced & (checked >= highest))
                reduced, checked, rises, since = halve, highest, torch.zeros_like(rises), 0
                stride = torch.where(halve, stride / 2, stride)
                now, gradient = (
                    torch.where(per_image(halve), top, now),
                    torch.where(per_image(halve), top_gradient, gradient),
                )
                interval = max(interval - less, shortest)
            if not bool(keep.all()):
                run, x, y, now, old, stride = run[keep], x[keep], y[keep], now[keep], old[keep], stride[keep]
                top, top_gradient, highest, checked = top[keep], top_gradient[keep], highest[keep], checked[keep]
                reduced, rises, last, gradient = reduced[keep], rises[keep], last[keep], gradient[keep]
                aims = None if aims is None else aims[keep]
            share = 0.75 if k else 1.0
            forward = project(now + per_image(stride) * steepest_direction(gradient, self.norm), x, eps, self.norm)
            ahead = project(now + share * (forward - now) + (1 - share) * (now - old), x, eps, self.norm)
            old, now = now, ahead


class APGDCE(_APGD):
    """PGD on the cross-entropy with momentum and a step size of its own finding (Croce and Hein 2020, algorithm 1).

    x_{k+1} = Π(x_k + 0.75·(z - x_k) + 0.25·(x_k - x_{k-1})) with z = Π(x_k + stride·s(∇L)), the stride beginning at 2·eps;
    where the loss stops rising the stride is halved and the search goes back to the best point.
    """

    name: ClassVar[str] = "apgd_ce"
    title: ClassVar[str] = "APGD-CE"
    summary: ClassVar[str] = "PGD that needs no step size: it finds its own."
    paper: ClassVar[str] = "Croce and Hein 2020, algorithm 1"

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        state = State.begin(classifier, images, labels, goal, cross_entropy)
        streams = RandomStreams.of(images, generator)
        yield from self.climb_to(state, cross_entropy, goal.targets, streams, 0, self.iterations)
        yield from state.settled(self.iterations)


class APGDT(_APGD):
    """APGD on the difference of logits ratio toward each of the likeliest other classes in turn (Croce and Hein 2020, equation 7)."""

    name: ClassVar[str] = "apgd_t"
    title: ClassVar[str] = "APGD-T"
    summary: ClassVar[str] = "APGD toward each of the likeliest other classes in turn."
    paper: ClassVar[str] = "Croce and Hein 2020, equation 7"

    classes: int = number(9, 1, 100, help="How many of the likeliest other classes are tried.", step=1, usual=20)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        if len(classifier.classes) < 4:
            raise BadInput("APGD-T needs a classifier with at least 4 classes; use APGD-CE here.")
        state = State.begin(classifier, images, labels, goal, dlr if goal.targets is None else cross_entropy)
        streams = RandomStreams.of(images, generator)
        if goal.targets is not None:
            yield from self.climb_to(state, dlr, goal.targets, streams, 0, self.iterations)
            yield from state.settled(self.iterations)
            return
        order = state.logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
        tried = min(self.classes, len(classifier.classes) - 1)
        total = tried * self.iterations
        for rank in range(tried):
            yield from self.climb_to(state, dlr, order[:, rank], streams, rank * self.iterations, total)
            if len(state.open) == 0:
                return
        yield state.step(total, total)
        yield from state.settled(total)


@dataclass
class State:
    """A batch under attack by one run after another: the best of each picture, and which pictures are still open."""

    classifier: Classifier
    images: Tensor
    labels: Tensor
    goal: Goal
    best: Tensor
    logits: Tensor
    gain: Tensor
    fooled: Tensor
    open: Tensor
    held: Tensor  # which pictures met a point that fools as an 8-bit file, bool N
    file: tuple[Tensor, Tensor, Tensor]  # the first such point of each: its images, logits and gain

    @staticmethod
    def begin(classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, gain: Gain) -> State:
        """Before the first run: every picture is open, the clean ones are what there is."""
        with torch.no_grad():
            logits = classifier(images)
            value = worst_if_nan(gain(logits, labels, goal.targets))
        every = torch.arange(len(images), device=images.device)
        fooled = goal.reached(logits, labels)
        file = (images, logits, value)
        return State(
            classifier, images, labels, goal, images, logits, value, fooled, every, torch.zeros_like(fooled), file
        )

    def take(self, run: Tensor, now: Tensor, logits: Tensor, gain: Tensor, stop: bool) -> Tensor:
        """Note the points `now` of the pictures numbered `run`; bool: which of them go on, all unless they `stop` early."""
        goal, labels = self.goal.at(run), self.labels[run]
        fooled = goal.reached(logits, labels)
        better = (fooled & ~self.fooled[run]) | ((fooled == self.fooled[run]) & (gain > self.gain[run]))
        sure, fresh = torch.zeros_like(fooled), fooled & ~self.held[run]
        if bool(fresh.any()):
            sure[fresh] = is_adversarial(self.classifier, now[fresh], labels[fresh], goal.at(fresh))
            points = (now[sure], logits[sure], gain[sure])
            self.file = tuple(old.index_copy(0, run[sure], new) for old, new in zip(self.file, points, strict=True))  # type: ignore[assignment]
            self.held = self.held.index_fill(0, run[sure], True)
        if not stop:
            sure = torch.zeros_like(sure)
        better = better | sure
        chosen = run[better]
        self.best = self.best.index_copy(0, chosen, now[better])
        self.logits = self.logits.index_copy(0, chosen, logits[better])
        self.gain = self.gain.index_copy(0, chosen, gain[better])
        self.fooled = self.fooled.index_copy(0, chosen, fooled[better])
        self.open = self.open[~torch.isin(self.open, run[sure])]
        return ~sure

    def settled(self, total: int) -> Iterator[Step]:
        """A last step, where a best point fools only before 8-bit rounding and another one survives it."""
        run = self.held.nonzero()[:, 0]
        if len(run) == 0:
            return
        safe = is_adversarial(self.classifier, self.best[run], self.labels[run], self.goal.at(run))
        if not bool(safe.all()):
            lost = torch.zeros_like(self.held).index_fill(0, run[~safe], True)
            images, logits, gain = self.file
            self.best = torch.where(per_image(lost), images, self.best)
            self.logits = torch.where(lost[:, None], logits, self.logits)
            self.gain = torch.where(lost, gain, self.gain)
            yield self.step(total, total)

    def put(self, run: Tensor, step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, logits, gain and fooled of the whole batch with another attack's step on the pictures numbered `run` in it."""
        return (
            self.best.index_copy(0, run, step.images),
            self.logits.index_copy(0, run, step.logits),
            self.gain.index_copy(0, run, step.loss),
            self.fooled.index_copy(0, run, step.fooled),
        )

    def close(self, run: Tensor, step: Step) -> None:
        """Take over that step; the pictures that it fools even as 8-bit files are no longer open."""
        self.best, self.logits, self.gain, self.fooled = self.put(run, step)
        sure = is_adversarial(self.classifier, step.images, self.labels[run], self.goal.at(run))
        self.open = run[~sure]

    def step(self, step_index: int, total: int) -> Step:
        return Step(step_index, total, self.best, self.logits, self.gain, self.fooled, self.goal.targets)


def _start(images: Tensor, eps: float, norm: Literal["linf", "l2"], streams: RandomStreams) -> Tensor:
    """A random point on the ball's surface, as the published code starts."""
    if norm == "linf":
        noise = streams.rand(*images.shape[1:]) * 2 - 1
        noise = noise / noise.flatten(1).abs().amax(1).clamp(min=1e-12).view(-1, 1, 1, 1)
    else:
        noise = steepest_direction(streams.randn(*images.shape[1:]), "l2")
    return project(images + eps * noise.to(images), images, eps, norm)


def _slope(
    classifier: Classifier, images: Tensor, labels: Tensor, targets: Tensor | None, gain: Gain
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = classifier(leaf)
        value = worst_if_nan(gain(logits, labels, targets))
        gradient = gradient_of(value.sum(), leaf)
    return gradient, value.detach(), logits.detach()
