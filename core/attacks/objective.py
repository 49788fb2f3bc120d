"""What a gradient attacker climbs: one number a picture, larger is better for the attacker."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks.base import Goal
from core.images import quantise
from core.models.classifier import Classifier

Loss = Literal["cross-entropy", "margin"]


def objective(logits: Tensor, labels: Tensor, goal: Goal, loss: Loss = "cross-entropy") -> Tensor:
    """The attacker's gain, N: away from `labels`, or toward the goal's targets.

    'cross-entropy' is -log p; 'margin' is the difference of logits (Carlini and Wagner 2017, equation f6), which keeps a
    gradient where the softmax is saturated.
    """
    if loss == "cross-entropy":
        if goal.targets is not None:
            return -F.cross_entropy(logits, goal.targets, reduction="none")
        return F.cross_entropy(logits, labels, reduction="none")
    wanted = goal.targets if goal.targets is not None else labels
    own = logits.gather(1, wanted[:, None])[:, 0]
    other = logits.scatter(1, wanted[:, None], -torch.inf).amax(1)
    return own - other if goal.targets is not None else other - own


def climb(
    classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, loss: Loss = "cross-entropy"
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the objective at `images` (N×C×H×W), the objective (N) and the logits (N×K), detached.

    The sum over the batch is differentiated, so that no picture's gradient depends on the others. A network that ignores its
    input has no gradient; that is a gradient of zero.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = classifier(leaf)
        gain = objective(logits, labels, goal, loss)
        (gradient,) = torch.autograd.grad(gain.sum(), leaf, allow_unused=True)
    if gradient is None:
        gradient = torch.zeros_like(images)
    return gradient.contiguous(), gain.detach(), logits.detach()


def holds(classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    """Which images (N×C×H×W) serve the goal as 8-bit files: bool N."""
    with torch.no_grad():
        return goal.reached(classifier(quantise(images)), labels)


def opened(chosen: Tensor) -> Tensor:
    """A mask over the batch, bool N, in the shape that multiplies images."""
    return chosen.view(-1, 1, 1, 1)
