"""A flow whose total variation never exceeds a bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import cos, pi
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.adam import Adam
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import gradient_of, margin
from core.declaration import FractionFloat, flag, number
from core.models.classifier import Classifier
from core.random_streams import RandomStreams
from core.warp import scaled_to, variation, warp

WEIGHTS = (0.05, 0.01, 0.2, 0.02, 0.1, 0.005)  # of what exceeds the bound, in logits a pixel; one a run, over again
START = 0.01  # pixels: the standard deviation of the random start of a later run
ENOUGH = 1.0  # logits: a larger lead is not sought
SIZE = 0.1  # pixels: Adam's first step


class BoundedFlow(Attack):
    """Finds a flow inside a hard bound of its total variation: the threat model of the flow certificate (after LAN, equation 14).

    The search ascends the lead minus τ·max(TV(r) - max_tv, 0) freely, and each flow is judged after it is shrunk, as a whole, to the
    bound. The total variation counts each pair of neighbors once, and the pairs across the border, where the outside does not move.
    Each run has a τ of its own; the flow with the largest lead counts.
    """

    name: ClassVar[str] = "bounded_flow"
    title: ClassVar[str] = "Flow within a bound"
    summary: ClassVar[str] = "Moves pixels along a flow whose total variation never exceeds a bound."
    paper: ClassVar[str] = "LAN, equations 4-6 and 14"

    max_tv: FractionFloat = number(
        56.0,
        0,
        1e5,
        help="The largest total variation of the flow, border included.",
        step=0.5,
        slider_max=200,
        unit=" px",
    )
    iterations: int = number(80, 1, 2000, help="Iterations of each run.", step=10, slider_max=500, alias="steps")
    restarts: int = number(3, 1, 20, help="Runs, each with its own weight of the bound.", step=1)
    early_stop: bool = flag(True, help="Stop an image at its first success, 8-bit rounding included.")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        n, _, height, width = images.shape
        total, streams = self.restarts * self.iterations, RandomStreams.of(images, generator)
        still = images.new_zeros(n, 2, height, width)
        batch = ActiveBatch.start(classifier, images, labels, goal, margin)
        batch.best = replace(batch.best, extras={"flow": still})
        done = 0
        yield _step(batch, done, total)
        for run in range(self.restarts):
            start = START * streams.randn(2, height, width).to(still) if run else still
            search = _Run(batch, batch.rows(start), WEIGHTS[run % len(WEIGHTS)], self)
            for k in range(self.iterations):
                done = run * self.iterations + k + 1
                search.ascend(SIZE * 0.5 * (1 + cos(pi * (k + 1) / self.iterations)))
                yield _step(batch, done, total)
                if batch.finished:
                    return
        batch.restore_survivors()
        yield _step(batch, done, total)


class _Run:
    """One run over the active images, from a flow for each."""

    def __init__(self, batch: ActiveBatch, flow: Tensor, weight: float, attack: BoundedFlow) -> None:
        self.batch, self.flow, self.weight, self.attack = batch, flow, weight, attack
        self.adam = Adam(flow)

    def ascend(self, size: float) -> None:
        """One step, and what it leads to inside the bound is noted."""
        batch, bound = self.batch, self.attack.max_tv
        images, labels, goal = batch.rows(batch.images), batch.rows(batch.labels), batch.active_goal
        with torch.enable_grad():
            leaf = self.flow.detach().requires_grad_(True)
            lead = margin(batch.classifier(warp(images, leaf).clamp(0, 1)), labels, goal).clamp(max=ENOUGH)
            excess = (variation(leaf, border=True) - bound).clamp(min=0)
            gradient = gradient_of((lead - self.weight * excess).sum(), leaf)
        self.flow = self.flow + self.adam.step(gradient, size)
        with torch.no_grad():
            inside = scaled_to(self.flow, bound, variation(self.flow, border=True))
            moved = warp(images, inside).clamp(0, 1)
            logits = batch.classifier(moved)
            points = batch.points(moved, logits, margin(logits, labels, goal), flow=inside)
            going = batch.update(points, early_stop=self.attack.early_stop)
        if not bool(going.all()):
            self.flow = self.flow[going]
            self.adam.select(going)


def _step(batch: ActiveBatch, done: int, total: int) -> Step:
    return replace(batch.step(done, total), extras={"flow": batch.best.extras["flow"]})
