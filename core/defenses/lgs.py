"""Local gradients smoothing: the patches whose gradients are suspiciously strong are darkened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from core.accelerated import compiled
from core.declaration import FractionFloat, flag, number
from core.defenses.base import Defense, check_window, map_batches
from core.inputs import check_images, check_shape
from core.threads import parallel_map

CACHED = 1 << 20  # values worked on at once on a CPU
AT_ONCE = 4  # images that a thread takes at a time
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode L


@dataclass(frozen=True)
class LGSTrace:
    """All that the defense computed on the way to its result; M is 1, or C where each channel has its own gradients.

    Attributes:
        magnitude: gradient magnitude, N×M×H×W.
        normalized: the same, min-max normalized per image to [0, 1], N×M×H×W.
        tops, lefts: the first row of each of R rows of windows, the first column of each of C columns of windows.
        window: the side of a window.
        means: the mean normalized gradient of each window, N×R×C.
        kept: which windows exceed the threshold, bool N×R×C.
        region: the union of the kept windows, bool N×1×H×W.
        suppression: what is taken away, clip(λ·ĝ, 0, 1), N×M×H×W.
        result: the defended images, N×C×H×W.
    """

    magnitude: Tensor
    normalized: Tensor
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window: int
    means: Tensor
    kept: Tensor
    region: Tensor
    suppression: Tensor
    result: Tensor


class LGS(Defense):
    """T(x) = x ⊙ (1 − clip(λ·ĝ, 0, 1)), ĝ the normalized gradient magnitude inside windows whose mean exceeds γ.

    N×C×H×W in [0, 1] → the same shape and type. Differentiable; the choice of windows counts as a constant.

    Gradients are forward differences of the luma, zero at the far border; windows lie τ − o apart and the last one in
    a row or column is shifted inward, so that the border is covered (Naseer, Khan and Porikli 2019, equations 5-8).

    Raises:
        InvalidInput: the overlap is no smaller than the window, or the window is larger than the image.
    """

    name: ClassVar[str] = "lgs"
    title: ClassVar[str] = "Local gradients smoothing"
    summary: ClassVar[str] = "Darkens the windows of the image whose gradients are strong, where a patch would be."
    paper: ClassVar[str] = "Naseer, Khan and Porikli 2019, equations 5-8: T(x) = x ⊙ (1 − clip(λ·ĝ, 0, 1))"

    strength: FractionFloat = number(
        2.3, 0, 10, step=0.1, alias="lambda", help="λ: how strongly gradients are suppressed."
    )
    threshold: FractionFloat = number(
        0.1, 0, 1, step=0.01, help="γ: a window is kept when its mean normalized gradient exceeds this."
    )
    window: int = number(15, 2, 64, step=1, unit=" px", help="τ: side of a window.")
    overlap: int = number(5, 0, 63, step=1, unit=" px", help="o: overlap of neighboring windows; less than the window.")
    per_channel: bool = flag(
        False, help="Each color channel has its own gradients, instead of those of the gray image."
    )

    @model_validator(mode="after")
    def _smaller_overlap(self) -> Self:
        if self.overlap >= self.window:
            raise ValueError(
                f"{self.title}: overlap is {self.overlap}; it must be less than the window, {self.window}."
            )
        return self

    def __call__(self, images: Tensor) -> Tensor:
        check_shape(images)
        kernels = self._kernels(images)
        if kernels is None:
            return super().__call__(images)
        # To look at the values alone would take as long as all the rest: the loops do it on their way.
        result, fine = self._apply(kernels, images)
        if not fine:
            check_images(images)
        return result

    def apply(self, images: Tensor) -> Tensor:
        kernels = self._kernels(images)
        if kernels is None:
            check_window(self.title, self.window, images)
            return map_batches(lambda part: self.trace(part).result, images, CACHED)
        return self._apply(kernels, images)[0]

    def _apply(self, kernels: Any, images: Tensor) -> tuple[Tensor, bool]:
        """`apply` by compiled loops, and whether all values lie in [0, 1]; a round-off beyond counts as outside."""
        check_window(self.title, self.window, images)
        images = images.detach().contiguous()
        result = torch.empty_like(images, memory_format=torch.contiguous_format)
        fine = []

        def some(given_and_result: tuple[Tensor, Tensor]) -> None:
            fine.append(self._smoothed(kernels, *given_and_result, whole=False)[1])

        parallel_map(some, zip(torch.split(images, AT_ONCE), torch.split(result, AT_ONCE), strict=True))
        return result, all(fine)

    def trace(self, images: Tensor) -> LGSTrace:
        """Defend images N×C×H×W in [0, 1] and keep every step; `apply` is this function's result.

        Raises:
            InvalidInput: the window is larger than the image.
        """
        check_window(self.title, self.window, images)
        height, width = images.shape[2:]
        kernels = self._kernels(images)
        if kernels is not None:
            images = images.detach().contiguous()
            trace, _ = self._smoothed(kernels, images, torch.empty_like(images), whole=True)
            assert trace is not None
            return trace
        magnitude = gradient_magnitude(images if self.per_channel else luma(images))
        normalized = min_max(magnitude)
        tops, lefts = self._starts(height), self._starts(width)
        with torch.no_grad():
            means = self._window_means(normalized.mean(1, keepdim=True) if normalized.shape[1] > 1 else normalized)
            selected = means > self.threshold
            # A pixel row is covered by a window row or not: two small matrices spread the kept windows over the image.
            rows = self._cover(tops, height, images)  # H×R
            columns = self._cover(lefts, width, images)  # W×C
            region = ((rows @ selected.to(images.dtype) @ columns.T) > 0).unsqueeze(1)
        suppression = (normalized * region * self.strength).clamp(0, 1)
        result = images * (1 - suppression)
        return LGSTrace(magnitude, normalized, tops, lefts, self.window, means, selected, region, suppression, result)

    def _kernels(self, images: Tensor) -> Any:
        """The compiled loops, where they can take these images: without a graph, too."""
        tracked = torch.is_grad_enabled() and images.requires_grad
        apart = self.per_channel and images.shape[1] > 1
        return None if tracked or apart else compiled("gradients", images)

    def _smoothed(self, kernels: Any, images: Tensor, result: Tensor, whole: bool) -> tuple[LGSTrace | None, bool]:
        """The trace of images N×C×H×W by compiled loops, up to rounding that of tensors, or without `whole` only its result; and
        whether the images lie in [0, 1]."""
        height, width = images.shape[2:]
        tops, lefts = self._starts(height), self._starts(width)
        values = images.numpy()
        # NumPy's, which cost a tenth of torch's: threads that prepare their work wait for each other.
        room, rows = (len(values), height) if whole else (1, 1)
        magnitude = np.empty((room, height, width), values.dtype)
        normalized, suppression = np.empty((2, room, rows, width), values.dtype)
        means = np.empty((room, len(tops), len(lefts)), values.dtype)
        selected, region = np.empty(means.shape, np.bool_), np.zeros(suppression.shape, np.bool_)
        fine = kernels.smooth(
            *(values, values.view(f"i{values.itemsize}")),
            tuple(map(values.dtype.type, LUMA)),
            *(np.array(tops), np.array(lefts), self.window, self.threshold, float(self.strength)),
            *(magnitude, magnitude.view(f"i{values.itemsize}")),
            *(normalized, means, selected, region, suppression, result.numpy()),
        )
        if not whole:
            return None, fine
        steep, even, union, taken = (
            torch.from_numpy(part[:, None]) for part in (magnitude, normalized, region, suppression)
        )
        shares, strong = torch.from_numpy(means), torch.from_numpy(selected)
        return LGSTrace(steep, even, tops, lefts, self.window, shares, strong, union, taken, result), fine

    def _starts(self, side: int) -> tuple[int, ...]:
        """Where windows start along a side: every τ − o pixels, the last one shifted inward."""
        regular = range(0, side - self.window + 1, self.window - self.overlap)
        last = side - self.window
        return (*regular, last) if regular[-1] != last else tuple(regular)

    def _window_means(self, maps: Tensor) -> Tensor:
        """Means N×R×C over the windows of maps N×1×H×W, first along columns and then along rows."""
        for axis in (2, 3):
            side, step = maps.shape[axis], self.window - self.overlap
            shape, strides = ((self.window, 1), (step, 1)) if axis == 2 else ((1, self.window), (1, step))
            bands = F.avg_pool2d(maps, shape, strides)
            if (side - self.window) % step:
                bands = torch.cat((bands, maps.narrow(axis, side - self.window, self.window).mean(axis, True)), axis)
            maps = bands
        return maps.squeeze(1)

    def _cover(self, starts: tuple[int, ...], side: int, like: Tensor) -> Tensor:
        """1 where a pixel (rows of the matrix) lies in a window (columns), else 0: side×windows."""
        offset = torch.arange(side, device=like.device).unsqueeze(1) - torch.tensor(starts, device=like.device)
        return ((offset >= 0) & (offset < self.window)).to(like.dtype)


def luma(images: Tensor) -> Tensor:
    """The gray image N×1×H×W of N×C×H×W."""
    if images.shape[1] == 1:
        return images
    # Product by product: fused multiply-adds would round differently at the ends of a row, and flat would not be flat.
    red, green, blue = (images[:, c : c + 1] * weight for c, weight in enumerate(LUMA))
    return red + green + blue


def gradient_magnitude(maps: Tensor) -> Tensor:
    """√(∂x² + ∂y²) of N×M×H×W by forward differences that are zero at the far border (equation 5)."""
    across = F.pad(maps[..., :, 1:] - maps[..., :, :-1], (0, 1))
    down = F.pad(maps[..., 1:, :] - maps[..., :-1, :], (0, 0, 0, 1))
    square = across.square() + down.square()
    # The root has no slope at zero; there the gradient is taken as zero instead of infinite.
    flat = square == 0
    return square.masked_fill(flat, 1).sqrt().masked_fill(flat, 0)


def min_max(maps: Tensor) -> Tensor:
    """Each image of N×M×H×W stretched to [0, 1]; a constant one becomes zeros (equation 6)."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    span = high - low
    return (maps - low) / torch.where(span > 0, span, 1)
