"""What flows do to a network in training: how much a short one changes at most, and images that are moved anew in every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from core.certify.flow_geometry import solve
from core.certify.two_layer import TwoLayer
from core.warp import scaled_to, variation, warp

REACH = 1.5  # times the bound: how far all steps together would lead, were no flow shrunk
TINY = 1e-12  # keeps a root differentiable at 0


def first_order_change(network: TwoLayer, images: Tensor, labels: Tensor) -> Tensor:
    """How much the lead over the likeliest other class changes at most, to first order, under flows with ‖N vec(r)‖₂ ≤ 1; N.

    √(gᵤᵀ(NᵀN)⁻¹gᵤ + gᵥᵀ(NᵀN)⁻¹gᵥ), where gᵤ and gᵥ are the slopes of the lead along rows and columns, from central differences.
    Every flow of total variation 1 lies in that ellipsoid.

    Args:
        images: N×1×H×W in [0, 1]. labels: int64 N.
    """
    entering = network.hidden(images)
    on = (entering > 0).to(entering)
    logits = (entering * on) @ network.second.T + network.second_bias
    other = logits.detach().scatter(1, labels[:, None], -torch.inf).argmax(1)
    of_pixels = (((network.second[labels] - network.second[other]) * on) @ network.first).view_as(images)[:, 0]
    padded = F.pad(images, (1, 1, 1, 1))[:, 0]
    rows = of_pixels * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    columns = of_pixels * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    squares = (rows * solve(rows) + columns * solve(columns)).sum((1, 2))
    return (squares.clamp(min=0) + TINY).sqrt()


def moved_batch(loss: Callable[[Tensor], Tensor], images: Tensor, max_tv: float, steps: int) -> Tensor:
    """The images moved by flows whose total variation is at most `max_tv`, which raise the loss; N×1×H×W, without a gradient.

    Each step goes along (NᵀN)⁻¹ of the gradient, the steepest way in the ellipsoid ‖N vec(r)‖₂, and the flow is shrunk to the bound.

    Args:
        loss: of images N×1×H×W, summed over them.
    """
    flow = images.new_zeros(len(images), 2, *images.shape[2:])
    for _ in range(steps):
        with torch.enable_grad():
            leaf = flow.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss(warp(images, leaf)), leaf)
        way = solve(gradient)
        flow = flow + _scaled(way, REACH * max_tv / steps)
        flow = scaled_to(flow, max_tv, variation(flow, border=True))
    return warp(images, flow.detach()).detach()


def _scaled(flow: Tensor, length: float) -> Tensor:
    """The flow N×2×H×W with that total variation."""
    return flow * (length / variation(flow, border=True).clamp(min=TINY)).view(-1, 1, 1, 1)
