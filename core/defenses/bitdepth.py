"""Bit-depth reduction: fewer gray levels, so that small changes are rounded away."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from core.declaration import number
from core.defenses.base import Defense


class BitDepth(Defense):
    """Round every value to one of 2^d levels: round(x·(2^d − 1)) / (2^d − 1) (Xu, Evans and Qi 2018, section III-A).

    N×C×H×W in [0, 1] → the same shape and type; halves round to the even level. Its gradient is zero almost everywhere.
    """

    name: ClassVar[str] = "bitdepth"
    title: ClassVar[str] = "Bit-depth reduction"
    summary: ClassVar[str] = "Keeps only the highest bits of each color value."
    paper: ClassVar[str] = "Xu, Evans and Qi 2018, Feature Squeezing, section III-A: round(x·(2^d − 1)) / (2^d − 1)"
    differentiable: ClassVar[bool] = False

    bits: int = number(3, 1, 8, step=1, unit=" bit", help="Bits kept of each color value; fewer bits remove more.")

    def apply(self, images: Tensor) -> Tensor:
        levels = float(2**self.bits - 1)
        if images.device.type != "cpu" or images.requires_grad or images.dtype != torch.float32:
            return (images * levels).round_().div_(levels)
        # NumPy on one thread: a wait for the other threads costs more than the arithmetic, and its fresh memory comes in
        # large pages. An image at a time stays in the cache.
        values = images.detach().numpy()
        result = np.empty(values.shape, np.float32)
        scale = np.float32(levels)
        for part, place in zip(values, result, strict=True):
            np.multiply(part, scale, out=place)
            np.rint(place, out=place)
            np.divide(place, scale, out=place)
        return torch.from_numpy(result)
