"""Objectives of attention masks: the networks `generator` (A), `reader` (f2) and `classifier` (f1, which stays as it is)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from core.explain.masks import Distance, attention_loss, cross_entropy, mix_noise, squared_error
from core.inputs import InvalidInput, quoted
from core.training.objectives.base import Batch, Networks, Terms, objective

_DISTANCES: dict[str, Distance] = {"cross_entropy": cross_entropy, "squared_error": squared_error}


@objective("attention_masks")
def attention_masks(networks: Networks, batch: Batch, *, beta: float, distance: str = "cross_entropy") -> Terms:
    """Equation 9 for one draw of the noise of equation 8 (Grimm et al. 2017; Nguyen 2018).

    Raises:
        InvalidInput: there is no such distance.
    """
    if distance not in _DISTANCES:
        raise InvalidInput(f"The distance is {quoted(distance)}; it must be one of {', '.join(_DISTANCES)}.")
    images = batch.images
    with torch.no_grad():
        clean = networks["classifier"](images).float()
    noise_mask = networks["generator"](images).float()
    noise = torch.rand(images.shape, generator=batch.generator, device=images.device)
    outputs = networks["classifier"](mix_noise(images, noise_mask, noise)).float()
    loss = attention_loss(outputs, clean, noise_mask, beta, _DISTANCES[distance]).mean()
    return Terms({"attention": loss}, {"noise mask": noise_mask.mean()})


@objective("mask_reader")
def mask_reader(networks: Networks, batch: Batch) -> Terms:
    """The cross-entropy of what f2 reads in the masks of the images against the labels."""
    with torch.no_grad():
        masks = 1 - networks["generator"](batch.images)
    logits = networks["reader"](masks).float()
    loss = F.cross_entropy(logits, batch.labels)
    return Terms({"cross_entropy": loss}, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()})
