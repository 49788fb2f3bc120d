"""What bilinear sampling at a moved place can make of a pixel: its value, and its slopes, from the pixels around it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Slopes:
    """How a pixel's value follows its flow: x̂ᵢ - xᵢ = ḡᵢ·rᵢ with ḡᵢ within `half` of `middle`.

    Attributes:
        middle, half: N×2×H×W, along rows and columns; half ≥ 0.
    """

    middle: Tensor
    half: Tensor

    @property
    def steepest(self) -> Tensor:
        """The largest length of ḡᵢ, N×H×W."""
        return (self.middle.abs() + self.half).square().sum(1).sqrt()

    @property
    def rest(self) -> Tensor:
        """The largest length of ḡᵢ - middle, N×H×W."""
        return self.half.square().sum(1).sqrt()


def slopes(images: Tensor, reach: float) -> Slopes:
    """The slopes of one-channel images N×H×W where each pixel moves by at most `reach` pixels in each direction.

    Proof. Between four pixels, bilinear interpolation has along each direction the slope of a mean of two differences of neighbors;
    beyond the border it is constant. Along the straight way from pixel i to its place, x̂ᵢ - xᵢ is the integral of slope times rᵢ, that
    is ḡᵢ·rᵢ with the mean slope ḡᵢ of the way, which lies between the least and the largest difference of the cells it may pass:
    those within ⌈reach⌉ pixels.
    """
    cells = _cells(images, reach)
    padded = F.pad(images[:, None], (cells,) * 4, mode="replicate")
    rows, columns = padded.diff(dim=-2), padded.diff(dim=-1)
    along, across = 2 * cells, 2 * cells + 1
    high = torch.cat([_window_max(rows, (along, across)), _window_max(columns, (across, along))], 1)
    low = -torch.cat([_window_max(-rows, (along, across)), _window_max(-columns, (across, along))], 1)
    return Slopes((high + low) / 2, (high - low) / 2)


def value_range(images: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The least and the largest pixel within ⌈reach⌉ pixels of each of N×H×W: bilinear sampling is a mean of four of them."""
    cells = _cells(images, reach)
    padded = F.pad(images[:, None], (cells,) * 4, mode="replicate")
    window = (2 * cells + 1, 2 * cells + 1)
    return -_window_max(-padded, window)[:, 0], _window_max(padded, window)[:, 0]


def _cells(images: Tensor, reach: float) -> int:
    return max(1, min(ceil(reach), max(images.shape[-2:])))


def _window_max(values: Tensor, window: tuple[int, int]) -> Tensor:
    """The maximum of N×1×H×W over windows at every place, one direction after the other."""
    return F.max_pool2d(F.max_pool2d(values, (window[0], 1), 1), (1, window[1]), 1)
