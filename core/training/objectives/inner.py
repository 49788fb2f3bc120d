"""The inner maximization of adversarial training: images that are attacked anew in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.training.objectives.base import Batch, Networks

Loss = Callable[[Tensor], Tensor]  # from logits N×K to what the attack increases, summed over the images


def classifier_of(networks: Networks) -> nn.Module:
    """The network `classifier`, which is trained."""
    return cast(nn.Module, networks["classifier"])


@contextmanager
def fixed_statistics(network: nn.Module) -> Iterator[None]:
    """Within, batch norms use their running means and dropout is off: the attack sees one function, and leaves no trace in it."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def attack_batch(
    networks: Networks, batch: Batch, loss: Loss, *, eps: float, steps: int, step_size: float, noise: float = 0.0
) -> Tensor:
    """PGD in the L∞ ball of each image (Madry et al. 2018, equation 2.1, the inner maximum).

    Args:
        loss: what the attack increases.
        eps: the radius, in [0, 1] on the scale of the images.
        steps: 1 is FGSM with a random start (Wong et al. 2020).
        step_size: of each step; 0 for the usual one, 1.25 eps for one step and 2.5 eps / steps for several.
        noise: the standard deviation of a Gaussian start; 0 starts uniformly in the ball.

    Returns:
        N×C×H×W in [0, 1], detached.
    """
    network, images = classifier_of(networks), batch.images
    size = step_size or (1.25 * eps if steps == 1 else 2.5 * eps / steps)
    if noise:
        start = noise * torch.randn(images.shape, generator=batch.generator, device=images.device)
    else:
        start = eps * (2 * torch.rand(images.shape, generator=batch.generator, device=images.device) - 1)
    low, high = (images - eps).clamp(min=0), (images + eps).clamp(max=1)
    attacked = torch.minimum(torch.maximum(images + start, low), high)
    with fixed_statistics(network):
        for _ in range(steps):
            attacked.requires_grad_()
            (slope,) = torch.autograd.grad(loss(network(attacked).float()), attacked)
            attacked = torch.minimum(torch.maximum(attacked.detach() + size * slope.sign(), low), high)
    return attacked.detach().contiguous(memory_format=torch.channels_last)


def attack_cross_entropy(networks: Networks, batch: Batch, eps: float, steps: int, step_size: float) -> Tensor:
    """`attack_batch` of the cross-entropy against the labels; N×C×H×W in [0, 1]."""
    loss = partial(F.cross_entropy, target=batch.labels, reduction="sum")
    return attack_batch(networks, batch, loss, eps=eps, steps=int(steps), step_size=step_size)
