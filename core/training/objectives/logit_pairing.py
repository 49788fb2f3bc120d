"""Logit pairing (Kannan et al. 2018; Dornadula et al. 2018, section 4.2.2): the network `classifier`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.objectives.adversarial import both_losses
from core.training.objectives.base import Batch, Networks, Terms, objective
from core.training.objectives.inner import attack_cross_entropy


@objective("adversarial_logit_pairing")
def adversarial_logit_pairing(
    networks: Networks,
    batch: Batch,
    *,
    eps: float,
    weight: float = 0.5,
    steps: int = 7,
    step_size: float = 0.0,
    clean: float = 0.5,
    label_smoothing: float = 0.0,
) -> Terms:
    """J(x, x') + λ·(1/m) Σᵢ L(f(xᵢ), f(x'ᵢ)), with J that of `adversarial_training` and λ = `weight`.

    L is the mean squared difference of the logits. x' maximizes the cross-entropy in the L∞ ball of radius `eps`.
    """
    attacked = attack_cross_entropy(networks, batch, eps, steps, step_size)
    terms, (clean_logits, adversarial_logits) = both_losses(
        networks, batch, attacked, clean, label_smoothing, pairs=True
    )
    return Terms({**terms.losses, "pairs": weight * F.mse_loss(clean_logits, adversarial_logits)}, terms.metrics)


@objective("clean_logit_pairing")
def clean_logit_pairing(
    networks: Networks, batch: Batch, *, weight: float = 0.5, noise: float = 0.0, label_smoothing: float = 0.0
) -> Terms:
    """CE(f(x), y) + λ·(2/m) Σ L(f(xᵢ), f(xᵢ₊ₘ⸝₂)) over i = 1 … m/2: random pairs of clean images, with λ = `weight`.

    L is the mean squared difference of the logits; of an odd number of images, the last one has no pair. `noise` is the standard
    deviation of the Gaussian noise that Kannan et al. add to the images.
    """
    terms, logits = _clean(networks, batch, noise, label_smoothing)
    half = len(logits) // 2
    pairs = F.mse_loss(logits[:half], logits[half : 2 * half]) if half else logits.sum() * 0
    return Terms({**terms.losses, "pairs": weight * pairs}, terms.metrics)


@objective("logit_squeezing")
def logit_squeezing(
    networks: Networks, batch: Batch, *, weight: float = 0.5, noise: float = 0.0, label_smoothing: float = 0.0
) -> Terms:
    """CE(f(x), y) + λ·(1/m) Σᵢ ‖f(xᵢ)‖₂, with λ = `weight`; `noise` as in `clean_logit_pairing`."""
    terms, logits = _clean(networks, batch, noise, label_smoothing)
    return Terms({**terms.losses, "norm": weight * logits.norm(dim=1).mean()}, terms.metrics)


def _clean(networks: Networks, batch: Batch, noise: float, label_smoothing: float) -> tuple[Terms, Tensor]:
    """The cross-entropy of the images, with Gaussian noise where there is any, and their logits N×K."""
    images = batch.images
    if noise:
        draw = torch.randn(images.shape, generator=batch.generator, device=images.device)
        images = (images + noise * draw).clamp(0, 1)
    logits = networks["classifier"](images).float()
    loss = F.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
    return Terms({"cross_entropy": loss}, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()}), logits
