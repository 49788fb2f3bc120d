"""Gaussian filter: the weighted mean of a window."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from core.declaration import FractionFloat, number
from core.defenses.base import Defense, check_window, map_batches, require_odd


class Gaussian(Defense):
    """Convolve with a Gaussian, G(u) ∝ exp(−u² / 2σ²) along rows and then along columns; the border is mirrored.

    N×C×H×W in [0, 1] → the same shape and type. Differentiable.

    Raises:
        InvalidInput: the window is even, or larger than the image.
    """

    name: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Gaussian filter"
    summary: ClassVar[str] = "Blurs the image with a Gaussian window."
    paper: ClassVar[str] = (
        "Naseer, Khan and Porikli 2019, Local Gradients Smoothing, Table 1 (GF, window 5): G(u) ∝ exp(−u²/2σ²)"
    )

    window: int = number(5, 3, 31, step=2, unit=" px", help="Side of the window; an odd number.")
    sigma: FractionFloat | None = number(
        None,
        0.1,
        10,
        step=0.1,
        unit=" px",
        help="Width of the Gaussian; unset follows the window: 0.3·((w−1)/2 − 1) + 0.8.",
    )

    _odd = field_validator("window")(require_odd)

    @property
    def width(self) -> float:
        """The σ in use, in pixels: the one given, or OpenCV's for the window."""
        return 0.3 * ((self.window - 1) * 0.5 - 1) + 0.8 if self.sigma is None else self.sigma

    def taps(self) -> list[float]:
        """The kernel from its middle outward; with its mirror image it sums to 1."""
        offsets = torch.arange(self.window // 2 + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (offsets / self.width) ** 2)
        half: list[float] = (weights / (2 * weights.sum() - weights[0])).tolist()
        return half

    def apply(self, images: Tensor) -> Tensor:
        check_window(self.title, self.window, images)
        taps, reach = self.taps(), self.window // 2

        def blur(part: Tensor) -> Tensor:
            padded = F.pad(part, (reach, reach, reach, reach), mode="reflect")
            return blurred(blurred(padded, 2, taps), 3, taps)

        return map_batches(blur, images)


def blurred(padded: Tensor, axis: int, taps: list[float]) -> Tensor:
    """Convolve along one axis, which shrinks by the padding; mirrored taps share a product.

    Shifted sums instead of a convolution: exact in float32 on every device, where CUDA's convolutions round to TF32.
    """
    reach, side = len(taps) - 1, padded.shape[axis] - 2 * (len(taps) - 1)
    total = padded.narrow(axis, reach, side) * taps[0]
    for offset, weight in enumerate(taps[1:], 1):
        pair = padded.narrow(axis, reach - offset, side) + padded.narrow(axis, reach + offset, side)
        total = total.add_(pair, alpha=weight)
    return total
