"""A lower bound of a two-layer network's margins over a set of changes of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from core.certify.flow_sets import ChangeSet
from core.certify.two_layer import TwoLayer


def lower_margins(network: TwoLayer, images: Tensor, classes: Tensor, others: Tensor, changes: ChangeSet) -> Tensor:
    """For each image and each of its `others`, a lower bound of logit `classes` minus that logit over all x̂ with x̂ - x in the set.

    Each ReLU is bounded by lines over the interval [l, u] of what enters it (Zhang et al. 2018, CROWN, section 3.3): from above by the
    chord u(z - l)/(u - l), from below by z or 0, whichever the clean image gives. Where u ≤ 0 or l ≥ 0 they are the ReLU itself. With one
    line for each hidden unit, the margin is at least a·x̂ + d, and a·x̂ ≥ a·x - (the set's bound of |a·(x̂ - x)|).

    Args:
        images: N×C×H×W in [0, 1]. classes: int64 N. others: int64 N×J.

    Returns:
        N×J, in the network's float type, differentiable in its matrices.
    """
    entering = network.hidden(images)
    radius = changes.of_shared(network.first)
    low, high = entering - radius, entering + radius
    crossing = (low < 0) & (high > 0)
    on = (entering > 0).to(entering)
    slope_above = torch.where(crossing, high / torch.where(crossing, high - low, 1), on)
    offset_above = torch.where(crossing, -low * slope_above, 0)
    weights = network.second[classes][:, None] - network.second[others]  # N×J×h
    positive = weights >= 0
    lines = weights * torch.where(positive, on[:, None], slope_above[:, None])
    offsets = torch.where(positive, 0, weights * offset_above[:, None]).sum(2)
    constant = network.second_bias[classes][:, None] - network.second_bias[others]
    clean = (lines * entering[:, None]).sum(2) + offsets + constant
    return clean - changes.of_own(lines @ network.first)


def other_classes(classes: Tensor, count: int) -> Tensor:
    """All classes but its own for each of N, int64 N×(count - 1)."""
    return (classes[:, None] + torch.arange(1, count, device=classes.device)) % count
