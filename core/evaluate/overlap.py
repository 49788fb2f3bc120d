"""How well an estimated region agrees with the true one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Overlap:
    """Of a batch, each float N in [0, 1]; a share of nothing is NaN."""

    precision: Tensor  # of the estimated region, the part that lies in the true one
    recall: Tensor  # of the true region, the part that was found
    iou: Tensor  # of either, the part that lies in both


def overlap(estimated: Tensor, true: Tensor) -> Overlap:
    """Precision, recall and intersection over union of regions, both bool N×1×H×W."""
    both, either = (estimated & true).sum((1, 2, 3)), (estimated | true).sum((1, 2, 3))
    n_estimated, n_true = estimated.sum((1, 2, 3)), true.sum((1, 2, 3))
    return Overlap(*(torch.where(n > 0, both / n.clamp(min=1), torch.nan) for n in (n_estimated, n_true, either)))
