"""The ball that an attacker may not leave: projection, steepest direction and random start, for L∞ and L2."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from core.random_streams import RandomStreams

Norm = Literal["linf", "l2"]


def project(images: Tensor, center: Tensor, eps: float, norm: Norm) -> Tensor:
    """The points of the ball around `center`, cut by the box [0, 1], that `images` (both N×C×H×W) are moved to."""
    if norm == "linf":
        return torch.minimum(torch.maximum(images, center - eps), center + eps).clamp(0, 1)
    change = images - center
    length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    # The box holds the center, so cutting by it afterwards only brings a point nearer: the ball still holds.
    inside: Tensor = center + change * (eps / length.clamp(min=1e-12)).clamp(max=1)
    return inside.clamp(0, 1)


def steepest_direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction of length 1 in which the objective rises fastest; zero where the gradient is zero."""
    if norm == "linf":
        return gradient.sign()
    length: Tensor = gradient.flatten(1).norm(dim=1)
    return gradient / length.clamp(min=1e-12).view(-1, 1, 1, 1)


def steepest_step(
    x_adv: Tensor, gradient: Tensor, center: Tensor, eps: float, norm: Norm, step_size: float | Tensor
) -> Tensor:
    """One step from `x_adv` in the steepest direction, projected onto the ball: Π(x + step_size·d(gradient)).

    Args:
        x_adv, gradient, center: N×C×H×W; center is the ball's. eps: the ball's radius. step_size: a number, or N×1×1×1.
    """
    return project(x_adv + step_size * steepest_direction(gradient, norm), center, eps, norm)


def random_start(images: Tensor, eps: float, norm: Norm, streams: RandomStreams) -> Tensor:
    """A random point of the ball around each of `images`: uniform in L∞, a random direction and radius in L2."""
    if norm == "linf":
        noise = (streams.rand(*images.shape[1:]) * 2 - 1) * eps
    else:
        direction = streams.randn(*images.shape[1:])
        radius = streams.rand() * eps
        noise = direction * (radius / direction.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
    return project(images + noise.to(images), images, eps, norm)
