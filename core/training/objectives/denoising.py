"""Objectives of a denoiser: the network `denoiser` before the network `classifier`, which stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.objectives.base import Batch, Networks, Terms, objective


def mixture(batch: Batch, clean: float, noise: float, eps: float) -> Tensor:
    """One input for each image, drawn at random (Hao et al. 2019, algorithm 1).

    Args:
        batch: images N×C×H×W with their crafted versions.
        clean: how often the image itself is taken, in [0, 1].
        noise: how often the image with uniform noise of at most `eps` is taken, in [0, 1]. Else one of its crafted versions is
            taken, each as often as the others.
        eps: in [0, 1], on the scale of the images.

    Returns:
        N×C×H×W in [0, 1].
    """
    images, crafted = batch.images, batch.crafted
    n = len(images)
    draw = torch.rand(n, generator=batch.generator, device=images.device)
    uniform = torch.rand(images.shape, generator=batch.generator, device=images.device) * 2 - 1
    pick = torch.randint(crafted.shape[1], (n,), generator=batch.generator, device=images.device)
    attacked = crafted[torch.arange(n, device=images.device), pick]
    noisy = (images + eps * uniform).clamp(0, 1)
    draw = draw[:, None, None, None]
    chosen = torch.where(draw < clean, images, torch.where(draw < clean + noise, noisy, attacked))
    return chosen.contiguous(memory_format=torch.channels_last)


@objective("defense_kernels")
def defense_kernels(
    networks: Networks,
    batch: Batch,
    *,
    eps: float,
    clean: float = 1 / 3,
    noise: float = 1 / 3,
    l1: float = 1.0,
    perceptual: float = 1.0,
    cross_entropy: float = 1.0,
) -> Terms:
    """λ₁·‖X - I_h‖₁ + λ₂·ℓ_p + λ₃·ℓ_c of Hao et al. 2019, equations 4 to 7; norms are means over values.

    ℓ_p compares the features of the network `loss_network`, ℓ_c is the cross-entropy of the attacked classifier. `eps` is the size
    of the noise, `clean` and `noise` are the shares of the mixture.
    """
    images = batch.images
    denoised = networks["denoiser"](mixture(batch, clean, noise, eps)).float()
    losses = {"l1": l1 * (denoised - images).abs().mean()}
    features, logits = networks["loss_network"](denoised)
    with torch.no_grad():
        clean_features, _ = networks["loss_network"](images)
    distances = [
        F.mse_loss(feature.float(), clean_feature.float())
        for feature, clean_feature in zip(features, clean_features, strict=True)
    ]
    losses["perceptual"] = perceptual * torch.stack(distances).mean()
    if not networks["loss_network"].observes(networks["classifier"]):  # type: ignore[attr-defined]
        logits = networks["classifier"](denoised)
    losses["cross_entropy"] = cross_entropy * F.cross_entropy(logits.float(), batch.labels)
    return Terms(losses, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()})


@objective("guided_denoiser")
def guided_denoiser(
    networks: Networks, batch: Batch, *, clean: float = 0.5, noise: float = 0.0, eps: float = 0.0
) -> Terms:
    """The mean of |f(x̂) - f(x)| over the logits f (Liao et al. 2018, logits guided denoiser; Dornadula et al. 2018).

    x̂ is the denoised form of the image or of one of its crafted versions. `clean` and `noise` are the shares of the mixture, `eps`
    is the size of the noise.
    """
    with torch.no_grad():
        clean_logits = networks["classifier"](batch.images).float()
    logits = networks["classifier"](networks["denoiser"](mixture(batch, clean, noise, eps))).float()
    loss = (logits - clean_logits).abs().mean()
    return Terms({"logits": loss}, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()})


@objective("feature_losses")
def feature_losses(
    networks: Networks,
    batch: Batch,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    delta: float = 1.0,
) -> Terms:
    """α·‖F₃(x) - F₃(x̂)‖² + β·‖F₇‖² + γ·‖F₁₀‖² + δ·‖x - x̂‖² (Sivamani 2019, equation 4) of crafted versions alone.

    The paper divides each term by the number of its values; here norms are means over values, and α to δ are factors beside that.
    F₃, F₇ and F₁₀ are the features of the network `loss_network` in the order in which the plan names its layers.
    """
    images = batch.images
    denoised = networks["denoiser"](mixture(batch, 0.0, 0.0, 0.0)).float()
    features, _ = networks["loss_network"](denoised)
    with torch.no_grad():
        clean_features, _ = networks["loss_network"](images)
    losses = {
        name: weight * F.mse_loss(feature.float(), clean_feature.float())
        for name, weight, feature, clean_feature in zip(
            ("F3", "F7", "F10"), (alpha, beta, gamma), features, clean_features, strict=True
        )
    }
    losses["pixels"] = delta * F.mse_loss(denoised, images)
    return Terms(losses)
