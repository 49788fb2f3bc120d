"""stAdv: pixels move instead of changing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import cos, pi
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.adam import Adam
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import gradient_of, margin
from core.declaration import FractionFloat, choice, flag, number
from core.models.classifier import Classifier
from core.warp import variation, warp


class StAdv(Attack):
    """Finds a smooth flow that moves pixels until the class changes: min L_adv + τ·L_flow (Xiao et al. 2018; LAN, equations 4-6 and 14).

    L_adv is the lead of the right logit, L_flow the flow's total variation. τ is searched in [0, 1000] for each image:
    where the search fails it is lowered, where it succeeds it is raised. In the penalized form τ weighs max(L_flow - max_tv, 0)
    (LAN, equation 14), which bounds nothing; in the bounded form only a flow within the bound counts, too. Adam's step falls along half a
    cosine, because total variation never settles under steps of one size. The flow returned is the smoothest that fooled; where none did
    it is zero.
    """

    name: ClassVar[str] = "stadv"
    title: ClassVar[str] = "Spatial flow (stAdv)"
    summary: ClassVar[str] = "Moves pixels along a smooth flow; no value is painted over."
    paper: ClassVar[str] = "Xiao et al. 2018; LAN, equations 4-6 and 14"
    minimal_norm: ClassVar[bool] = True

    iterations: int = number(100, 1, 2000, help="Iterations of each search.", step=10, slider_max=500, alias="steps")
    binary_search_steps: int = number(4, 1, 12, help="Values of τ tried for each image.", step=1)
    tau: FractionFloat = number(
        0.005, 0, 1000, help="The first weight of the flow's roughness (τ).", step=0.01, slider_max=1
    )
    step_size: FractionFloat = number(0.1, 0.001, 2, help="Adam's first step on the flow.", step=0.01, unit=" px")
    constraint: Literal["weighted", "bounded", "penalized"] = choice(
        "weighted",
        help="Weighted: as smooth as the search can make it. Bounded: the total variation stays below the bound. Penalized: what exceeds "
        "the bound is punished, and counts all the same.",
    )
    max_tv: FractionFloat = number(
        7.0,
        0,
        1e5,
        help="The bound of the other two forms on the total variation.",
        step=0.5,
        slider_max=200,
        unit=" px",
    )
    rounding: bool = flag(True, help="Count a flow only if the image fools as an 8-bit file too.")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        n, _, height, width = images.shape
        bounded = self.constraint == "bounded"
        total = self.binary_search_steps * self.iterations
        weight = images.new_full((n,), self.tau)
        low, high = torch.zeros_like(weight), torch.full_like(weight, 1000.0)
        still = images.new_zeros(n, 2, height, width)
        batch = ActiveBatch.start(classifier, images, labels, goal, margin)
        roughness = torch.where(batch.best.fooled, 0.0, torch.inf)
        batch.best = replace(batch.best, extras={"flow": still, "roughness": roughness})
        yield _step(batch, 0, total, batch.best.loss)
        for search in range(self.binary_search_steps):
            flow, adam = still, Adam(still)
            succeeded = torch.zeros(n, dtype=torch.bool, device=images.device)
            for k in range(1, self.iterations + 1):
                with torch.enable_grad():
                    leaf = flow.detach().requires_grad_(True)
                    moved = warp(images, leaf).clamp(0, 1)
                    logits = classifier(moved)
                    gain = margin(logits, labels, goal)
                    roughness = variation(leaf)
                    punished = roughness if self.constraint == "weighted" else (roughness - self.max_tv).clamp(min=0)
                    loss = (weight * punished - gain.clamp(max=1e-3)).sum()
                    gradient = gradient_of(loss, leaf)
                moved, logits, gain, roughness = (t.detach() for t in (moved, logits, gain, roughness))
                points = batch.points(moved, logits, gain, flow=flow, roughness=roughness)
                succeeded = succeeded | points.fooled
                better = points.fooled & (roughness < batch.best.extras["roughness"])
                if bounded:
                    better = better & (roughness <= self.max_tv)
                if self.rounding:
                    better = batch.is_adversarial(moved, better)
                batch.merge(points, better)
                yield _step(batch, search * self.iterations + k, total, gain)
                if bounded and bool(batch.best.fooled.all()):
                    return
                flow = flow - adam.step(gradient, self.step_size * 0.5 * (1 + cos(pi * k / self.iterations)))
            low, high = torch.where(succeeded, weight, low), torch.where(succeeded, high, weight)
            # Between what worked and what did not, on a scale of magnitudes.
            upward = torch.where(high < 1000, (low * high).sqrt(), (weight * 10).clamp(max=1000))
            downward = torch.where(low > 0, (low * high).sqrt(), weight / 10)
            weight = torch.where(succeeded, upward, downward)


def _step(batch: ActiveBatch, step_index: int, total: int, loss: Tensor) -> Step:
    """The smoothest flow of each image that fooled so far, with the loss of the flow that the search is at (N)."""
    return replace(batch.step(step_index, total), loss=loss, extras={"flow": batch.best.extras["flow"]})
