"""Median filter: the middle value of a window."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from core import memory
from core.accelerated import compiled
from core.declaration import number
from core.defenses.base import Defense, check_window, require_odd
from core.defenses.selection import median_of_windows
from core.threads import parallel_map


class Median(Defense):
    """The median of a window around each pixel, channel by channel; the border is mirrored (Xu, Evans and Qi 2018, III-B).

    N×C×H×W in [0, 1] → the same shape and type. Differentiable: the gradient goes to the pixels whose value was chosen.

    Raises:
        InvalidInput: the window is even, or larger than the image.
    """

    name: ClassVar[str] = "median"
    title: ClassVar[str] = "Median filter"
    summary: ClassVar[str] = "Replaces each pixel by the middle value of its surroundings."
    paper: ClassVar[str] = (
        "Xu, Evans and Qi 2018, Feature Squeezing, section III-B: x′(i) = median of the window around i"
    )

    window: int = number(3, 3, 15, step=2, unit=" px", help="Side of the window; an odd number, larger removes more.")

    _odd = field_validator("window")(require_odd)

    def apply(self, images: Tensor) -> Tensor:
        check_window(self.title, self.window, images)
        reach = self.window // 2
        padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
        return median(padded, self.window)


def median(padded: Tensor, window: int) -> Tensor:
    """Medians N×C×(H−w+1)×(W−w+1) of all windows that fit into N×C×H×W, the upper one of an even count; with its gradient."""
    return _Median.apply(padded, window)  # type: ignore[no-any-return]


class _Median(torch.autograd.Function):
    """Of the network's many minima and maxima no gradient is kept: whoever equals the median was chosen."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, window: int) -> Tensor:
        middle = median_of_windows(padded, window)
        ctx.save_for_backward(padded, middle)
        ctx.window = window
        return middle

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        padded, middle = ctx.saved_tensors
        medians = compiled("medians", padded)
        if medians is None:
            return _pulled_back(padded, middle, ctx.window, gradients[0]), None
        result = memory.empty_like(padded)
        planes = [tensor.contiguous().flatten(0, 1).numpy() for tensor in (padded, middle, gradients[0], result)]

        def alone(number: int) -> None:
            padded_plane, middle_plane, slope, out = (plane[number] for plane in planes)
            medians.backward(padded_plane, middle_plane, ctx.window, slope, out)

        parallel_map(alone, range(len(planes[0])))
        return result, None


def _pulled_back(padded: Tensor, middle: Tensor, window: int, slope: Tensor) -> Tensor:
    """The gradient of Σ slope ⊙ middle by the padded images, in operations that a GPU has too; equals share alike."""
    height, width = middle.shape[2:]
    corners = [(top, left) for top in range(window) for left in range(window)]
    equal = torch.zeros_like(middle)
    for top, left in corners:
        equal += padded[:, :, top : top + height, left : left + width] == middle
    share = slope / equal
    result = torch.zeros_like(padded)
    for top, left in corners:
        view = slice(top, top + height), slice(left, left + width)
        result[:, :, view[0], view[1]] += share * (padded[:, :, view[0], view[1]] == middle)
    return result
