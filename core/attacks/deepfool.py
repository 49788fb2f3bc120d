"""DeepFool: the nearest boundary of the linearised classifier, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import gradient_of, is_adversarial, per_image
from core.declaration import FractionFloat, flag, number
from core.models.classifier import Classifier


class DeepFool(Attack):
    """Steps to the nearest boundary of the classifier taken as linear, until the class changes (Moosavi-Dezfooli et al. 2016, algorithm 2).

    r = |f_l| / ‖w_l‖² · w_l with w_k = ∇Z_k - ∇Z_source, f_k = Z_k - Z_source and l the class with the least |f_k|/‖w_k‖₂;
    the sum of the steps is stretched by 1 + overshoot. With a target (not in the paper) only the boundary to it counts.
    """

    name: ClassVar[str] = "deepfool"
    title: ClassVar[str] = "DeepFool"
    summary: ClassVar[str] = "The shortest way over the nearest boundary (L2)."
    paper: ClassVar[str] = "Moosavi-Dezfooli, Fawzi and Frossard 2016, algorithm 2"
    minimal_norm: ClassVar[bool] = True

    iterations: int = number(50, 1, 1000, help="Steps at most.", step=1, slider_max=100, alias="steps")
    overshoot: FractionFloat = number(
        0.02, 0, 1, help="How much farther than the boundary the image is carried.", step=0.01
    )
    candidates: int = number(10, 2, 1000, help="How many of the likeliest classes are weighed.", step=1, slider_max=20)
    rounding: bool = flag(True, help="Go on until the image fools as an 8-bit file too.")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        n = len(images)
        x_adv, total = images, torch.zeros_like(images)
        stretch = torch.full((n,), 1 + self.overshoot, device=images.device)
        moving = torch.ones(n, dtype=torch.bool, device=images.device)
        rivals: Tensor | None = None
        for step_index in range(self.iterations + 1):
            with torch.enable_grad():
                leaf = x_adv.detach().requires_grad_(True)
                graph = classifier(leaf)
            logits = graph.detach()
            source = logits.gather(1, labels[:, None])
            if rivals is None:  # the likeliest classes of the clean image, as in the paper's own code
                if goal.targets is not None:
                    rivals = goal.targets[:, None]
                else:
                    order = logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
                    rivals = order[:, : min(self.candidates, logits.shape[1]) - 1]
            fooled = goal.satisfied(logits, labels)
            gain = (logits.gather(1, rivals) - source).amax(1)
            yield Step(step_index, self.iterations, x_adv, logits, gain, fooled, goal.targets)
            crossed = fooled & moving
            if bool(crossed.any()):
                still_adversarial = is_adversarial(classifier, x_adv, labels, goal) if self.rounding else crossed
                moving = moving & ~(crossed & still_adversarial)
                # Over the boundary but not as a file: the same way, a little farther.
                stretch = torch.where(crossed & ~still_adversarial, 1 + (stretch - 1).clamp(min=0.01) * 1.5, stretch)
            if step_index == self.iterations or not bool(moving.any()):
                return
            step = self._step(graph, leaf, labels, rivals)
            total = torch.where(per_image(moving & ~fooled), total + step, total)
            moved = (images + per_image(stretch) * total).clamp(0, 1)
            x_adv = torch.where(per_image(moving), moved, x_adv)

    def _step(self, logits: Tensor, leaf: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
        """The shortest step N×C×H×W over the nearest of the linearised boundaries to `rivals` (N×R)."""
        gaps = logits.gather(1, rivals) - logits.gather(1, labels[:, None])  # N×R
        last = gaps.shape[1] - 1
        normals = torch.stack(
            [gradient_of(gaps[:, k].sum(), leaf, retain_graph=k < last) for k in range(last + 1)], 1
        )  # N×R×C×H×W
        lengths = normals.flatten(2).norm(dim=2).clamp(min=1e-12)
        distance = (gaps.detach().abs() / lengths).nan_to_num(nan=torch.inf)
        nearest = distance.argmin(1)
        rows = torch.arange(len(labels), device=labels.device)
        scale = (distance[rows, nearest] + 1e-4) / lengths[rows, nearest]
        return (per_image(scale) * normals[rows, nearest]).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
