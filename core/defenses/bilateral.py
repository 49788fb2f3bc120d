"""Bilateral filter: a blur that stops at edges."""

from __future__ import annotations

from math import exp
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from core.declaration import Real, number
from core.defenses.base import Defense, fit_window, in_parts, odd

CACHED = 1 << 17  # values worked on at once on a CPU: the pictures, their sums and a weight stay in its cache


class Bilateral(Defense):
    """The mean of a window, weighted by nearness in place and in colour (Tomasi and Manduchi 1998, equations 3-5).

    w(p, q) = exp(−‖p − q‖² / 2σs²) · exp(−‖x(p) − x(q)‖² / 2σr²), the colour distance over all channels; the border is mirrored.
    N×C×H×W in [0, 1] → the same shape and type. Differentiable.

    Raises:
        BadInput: the window is even, or larger than the picture.
    """

    name: ClassVar[str] = "bilateral"
    title: ClassVar[str] = "Bilateral filter"
    summary: ClassVar[str] = "Blurs the picture where it is even and stops at its edges."
    paper: ClassVar[str] = (
        "Tomasi and Manduchi 1998, equations 3-5; Naseer, Khan and Porikli 2019, Table 1 (BF, window 5)"
    )

    window: int = number(5, 3, 15, step=2, unit=" px", help="Side of the window; an odd number.")
    near: Real = number(1.0, 0.1, 20, step=0.1, usual=5, unit=" px", help="σs: how far in place a pixel still counts.")
    alike: Real | None = number(
        None,
        0.01,
        2,
        step=0.01,
        usual=0.5,
        help="σr: how far in colour; unset is the picture's own standard deviation.",
    )

    _odd = field_validator("window")(odd)

    def apply(self, images: Tensor) -> Tensor:
        fit_window(self.title, self.window, images)
        return in_parts(self._smoothed, images, CACHED)

    def _smoothed(self, images: Tensor) -> Tensor:
        reach, (height, width) = self.window // 2, images.shape[2:]
        padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
        scale = -0.5 / self._spread(images) ** 2
        total, weights = images, torch.ones_like(images[:, :1])
        # A pair of pixels has one weight, which counts for either of them: half of the window is enough.
        half = [(0, right) for right in range(1, reach + 1)]
        half += [(down, right) for down in range(1, reach + 1) for right in range(-reach, reach + 1)]
        for down, right in half:
            left, rows, columns = max(0, right), height + down, width + abs(right)
            # The upper pixels of all pairs of which at least one lies in the picture, and the lower ones.
            top, start = reach - down, reach - left
            upper = padded[:, :, top : top + rows, start : start + columns]
            lower = padded[:, :, top + down : top + down + rows, start + right : start + right + columns]
            squares = (upper - lower).square()
            distance = squares.sum(1, keepdim=True) if squares.shape[1] > 1 else squares
            weight = (distance * scale).exp() * exp(-0.5 * (down * down + right * right) / self.near**2)
            # Where the picture's pixels lie in these: as the upper of their pairs, and as the lower.
            first = (slice(down, down + height), slice(left, left + width))
            second = (slice(0, height), slice(left - right, left - right + width))
            for mine, other in ((first, lower), (second, upper)):
                part = weight[:, :, mine[0], mine[1]]
                total = total + part * other[:, :, mine[0], mine[1]]
                weights = weights + part
        return total / weights

    def _spread(self, images: Tensor) -> Tensor | float:
        """σr: the one given, or each picture's standard deviation N×1×1×1 (any where it is flat, for there all are alike)."""
        if self.alike is not None:
            return self.alike
        variance = images.var((1, 2, 3), unbiased=False, keepdim=True)
        flat = variance < 1e-12
        return torch.where(flat, 1.0, torch.where(flat, 1.0, variance).sqrt())
