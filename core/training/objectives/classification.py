"""Objectives of a classifier: the network `classifier`, images to logits."""

from __future__ import annotations

from torch.nn import functional as F

from core.training.objectives.base import Batch, Networks, Terms, objective


@objective("cross_entropy")
def cross_entropy(networks: Networks, batch: Batch, *, label_smoothing: float = 0.0) -> Terms:
    """The cross-entropy of the logits N×K against the labels."""
    logits = networks["classifier"](batch.images).float()
    loss = F.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
    return Terms({"cross_entropy": loss}, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()})
