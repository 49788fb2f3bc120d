"""What a gradient attacker climbs: one number an image, larger is better for the attacker."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks.base import Criterion
from core.images import quantise
from core.models.classifier import Classifier

Loss = Callable[[Tensor, Tensor, Criterion], Tensor]  # logits N×K, labels N and the goal, to the attacker's loss N


def cross_entropy(logits: Tensor, labels: Tensor, goal: Criterion) -> Tensor:
    """-log p of the label, or log p of the goal's target; minus infinity where the logits are NaN."""
    if goal.targets is not None:
        return worst_if_nan(-F.cross_entropy(logits, goal.targets, reduction="none"))
    return worst_if_nan(F.cross_entropy(logits, labels, reduction="none"))


def margin(logits: Tensor, labels: Tensor, goal: Criterion) -> Tensor:
    """The difference of logits (Carlini and Wagner 2017, equation f6), which keeps a gradient where the softmax is saturated.

    It is the lead of the likeliest other class over the label, or of the goal's target over the likeliest other class; minus
    infinity where the logits are NaN.
    """
    source = labels if goal.targets is None else goal.targets
    lead = logits.scatter(1, source[:, None], -torch.inf).amax(1) - logits.gather(1, source[:, None])[:, 0]
    return worst_if_nan(lead if goal.targets is None else -lead)


def dlr(logits: Tensor, labels: Tensor, goal: Criterion) -> Tensor:
    """The difference of logits ratio (Croce and Hein 2020, equations 6 and 7), which no scaling of the logits changes."""
    ordered = logits.sort(1, descending=True).values
    own = logits.gather(1, labels[:, None])[:, 0]
    if goal.targets is None:
        other = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        return worst_if_nan((other - own) / (ordered[:, 0] - ordered[:, 2] + 1e-12))
    target = logits.gather(1, goal.targets[:, None])[:, 0]
    return worst_if_nan((target - own) / (ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3]) + 1e-12))


LOSSES: Mapping[str, Loss] = {"cross-entropy": cross_entropy, "margin": margin}


def worst_if_nan(loss: Tensor) -> Tensor:
    """The attacker's loss with minus infinity for NaN, so that a comparison never prefers it."""
    return loss.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def gradient_of(value: Tensor, leaf: Tensor, *, retain_graph: bool = False) -> Tensor:
    """The gradient of a sum `value` at `leaf`, in the leaf's shape, with zero for NaN.

    A network that ignores its input, or cuts the graph, has no gradient; that is a gradient of zero.
    """
    gradient: Tensor | None = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, leaf, retain_graph=retain_graph, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient.nan_to_num(nan=0.0).contiguous()


def loss_and_grad(
    classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, loss: Loss = cross_entropy
) -> tuple[Tensor, Tensor, Tensor]:
    """The attacker's loss at images N×C×H×W (N), its gradient (N×C×H×W) and the logits (N×K), detached.

    The sum over the batch is differentiated, so that no image's gradient depends on the others.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = classifier(leaf)
        value = loss(logits, labels, goal)
        gradient = gradient_of(value.sum(), leaf)
    return value.detach(), gradient, logits.detach()


def is_adversarial(classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion) -> Tensor:
    """Which images (N×C×H×W) serve the goal as 8-bit files: bool N."""
    with torch.no_grad():
        return goal.satisfied(classifier(quantise(images)), labels)


def per_image(values: Tensor) -> Tensor:
    """One value an image, N, in the shape that broadcasts over images: N×1×1×1."""
    return values.view(-1, 1, 1, 1)
