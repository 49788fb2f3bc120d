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


def attack_loss(logits: Tensor, labels: Tensor, goal: Goal, loss: Loss = "cross-entropy") -> Tensor:
    """The attacker's gain, N: away from `labels`, or toward the goal's targets.

    'cross-entropy' is -log p; 'margin' is the difference of logits (Carlini and Wagner 2017, equation f6), which keeps a
    gradient where the softmax is saturated. Logits that are NaN gain nothing: minus infinity.
    """
    wanted = goal.targets if goal.targets is not None else labels
    if loss == "cross-entropy":
        away = F.cross_entropy(logits, wanted, reduction="none")
    else:
        own = logits.gather(1, wanted[:, None])[:, 0]
        away = logits.scatter(1, wanted[:, None], -torch.inf).amax(1) - own
    return worst_if_nan(-away if goal.targets is not None else away)


def worst_if_nan(gain: Tensor) -> Tensor:
    """The attacker's gain with minus infinity for NaN, so that a comparison never prefers it."""
    return gain.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def gradient_of(value: Tensor, leaf: Tensor, *, retain_graph: bool = False) -> Tensor:
    """The gradient of a sum `value` at `leaf`, in the leaf's shape, with zero for NaN.

    A network that ignores its input, or cuts the graph, has no gradient; that is a gradient of zero.
    """
    gradient: Tensor | None = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, leaf, retain_graph=retain_graph, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient.nan_to_num(nan=0.0).contiguous()


def loss_and_grad(
    classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, loss: Loss = "cross-entropy"
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the objective at `images` (N×C×H×W), the objective (N) and the logits (N×K), detached.

    The sum over the batch is differentiated, so that no picture's gradient depends on the others.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = classifier(leaf)
        gain = attack_loss(logits, labels, goal, loss)
        gradient = gradient_of(gain.sum(), leaf)
    return gradient, gain.detach(), logits.detach()


def is_adversarial(classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    """Which images (N×C×H×W) serve the goal as 8-bit files: bool N."""
    with torch.no_grad():
        return goal.reached(classifier(quantise(images)), labels)


def per_image(values: Tensor) -> Tensor:
    """One value an image, N, in the shape that broadcasts over images: N×1×1×1."""
    return values.view(-1, 1, 1, 1)
