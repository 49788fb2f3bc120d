"""Feature noise: how a change that is hard to see in the image grows on its way through the classifier (FL, figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import torch
from torch import Tensor

from core.explain.layers import feature_maps
from core.models.classifier import Classifier

IMAGE, LOGITS = "image", "logits"


def channel_noise(clean: Tensor, other: Tensor) -> Tensor:
    """The energy of each channel's change, as a share of the layer's mean energy a channel: maps C×h×w each, to C.

    NaN where the clean maps are all zero: a share of nothing is not a number.
    """
    energy = clean.square().sum() / len(clean)
    return (other - clean).square().sum((1, 2)) / energy.masked_fill(energy == 0, torch.nan)


def relative_noise(clean: Tensor, other: Tensor) -> float:
    """‖other − clean‖₂ / ‖clean‖₂ of two tensors of the same shape; NaN where the clean one is all zero."""
    change, size = float((other - clean).norm()), float(clean.norm())
    return change / size if size else nan


def noise_by_depth(
    classifier: Classifier, names: Sequence[str], clean: Tensor, others: Mapping[str, Tensor]
) -> dict[str, list[float]]:
    """The relative noise of each image 1×C×H×W of `others` against `clean` in the image, each layer, and the logits.

    NaN where what the clean image gives is all zero.

    Raises:
        InvalidInput: a layer makes no maps.
    """
    batch = torch.cat([clean, *others.values()]).to(classifier.device)
    maps = feature_maps(classifier, names, batch)
    with torch.no_grad():
        stages = [batch.cpu(), *(maps[name] for name in names), classifier(batch).cpu()]
    return {
        title: [relative_noise(stage[0], stage[number]) for stage in stages]
        for number, title in enumerate(others, start=1)
    }
