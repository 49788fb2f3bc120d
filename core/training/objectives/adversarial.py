"""Adversarial training: the network `classifier` on images that are attacked anew in every step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.objectives.base import Batch, Networks, Terms, objective
from core.training.objectives.classification import cross_entropy
from core.training.objectives.inner import attack_batch, attack_cross_entropy, classifier_of, fixed_statistics


@objective("adversarial_training")
def adversarial_training(
    networks: Networks,
    batch: Batch,
    *,
    eps: float,
    steps: int = 7,
    step_size: float = 0.0,
    clean: float = 0.0,
    label_smoothing: float = 0.0,
) -> Terms:
    """w·CE(f(x), y) + (1 - w)·CE(f(x'), y) with the share w = `clean` of clean images.

    x' maximizes the cross-entropy in the L∞ ball of radius `eps`. w = 0 is Madry et al. 2018, equation 2.1; w = 1/2 is Goodfellow et
    al. 2015, section 6, and what Dornadula et al. 2018, section 4.1 train. One step is FGSM with a random start (Wong et al. 2020).
    w = 1 is plain training: nothing is attacked.
    """
    if clean == 1:
        return cross_entropy(networks, batch, label_smoothing=label_smoothing)
    attacked = attack_cross_entropy(networks, batch, eps, steps, step_size)
    terms, _ = both_losses(networks, batch, attacked, clean, label_smoothing)
    return terms


@objective("trades")
def trades(
    networks: Networks,
    batch: Batch,
    *,
    eps: float,
    steps: int = 7,
    step_size: float = 0.0,
    beta: float = 6.0,
    label_smoothing: float = 0.0,
) -> Terms:
    """CE(f(x), y) + β·KL(p(x) ‖ p(x')), where x' maximizes that divergence (Zhang et al. 2019, equation 5).

    The divergence is the mean over the images; the attack starts at x with Gaussian noise of standard deviation 0.001. β = 0 is plain
    training: nothing is attacked.
    """
    if beta == 0:
        return cross_entropy(networks, batch, label_smoothing=label_smoothing)
    network = classifier_of(networks)
    with torch.no_grad(), fixed_statistics(network):
        clean_probabilities = network(batch.images).float().softmax(1)

    def loss(logits: Tensor) -> Tensor:
        return F.kl_div(logits.log_softmax(1), clean_probabilities, reduction="sum")

    attacked = attack_batch(networks, batch, loss, eps=eps, steps=int(steps), step_size=step_size, noise=0.001)
    clean, adversarial = _logits(networks, batch.images, attacked)
    divergence = F.kl_div(adversarial.log_softmax(1), clean.softmax(1), reduction="batchmean")
    losses = {
        "cross_entropy": F.cross_entropy(clean, batch.labels, label_smoothing=label_smoothing),
        "divergence": beta * divergence,
    }
    return Terms(losses, _accuracies(batch, clean, adversarial))


def both_losses(
    networks: Networks, batch: Batch, attacked: Tensor, clean: float, label_smoothing: float, *, pairs: bool = False
) -> tuple[Terms, tuple[Tensor, Tensor]]:
    """The cross-entropies of clean and attacked images with their weights, and the logits N×K of both.

    Where clean images have no weight and no `pairs` are asked for, they are not computed, and the first logits are the second ones.
    """
    if not clean and not pairs:
        logits = classifier_of(networks)(attacked).float()
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
        return Terms({"adversarial": loss}, {"adversarial accuracy": _share(logits, batch.labels)}), (logits, logits)
    clean_logits, adversarial_logits = _logits(networks, batch.images, attacked)
    losses = {
        "clean": clean * F.cross_entropy(clean_logits, batch.labels, label_smoothing=label_smoothing),
        "adversarial": (1 - clean) * F.cross_entropy(adversarial_logits, batch.labels, label_smoothing=label_smoothing),
    }
    return Terms(losses, _accuracies(batch, clean_logits, adversarial_logits)), (clean_logits, adversarial_logits)


def _logits(networks: Networks, clean: Tensor, attacked: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of clean and attacked images in one pass, so that batch norms see both."""
    both = torch.cat([clean, attacked]).contiguous(memory_format=torch.channels_last)
    clean_logits, adversarial_logits = classifier_of(networks)(both).float().chunk(2)
    return clean_logits, adversarial_logits


def _accuracies(batch: Batch, clean: Tensor, attacked: Tensor) -> dict[str, Tensor]:
    return {"accuracy": _share(clean, batch.labels), "adversarial accuracy": _share(attacked, batch.labels)}


def _share(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).float().mean()
