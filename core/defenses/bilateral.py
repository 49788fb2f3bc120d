"""Bilateral filter: a blur that stops at edges."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.cancellation import check
from core.declaration import FractionFloat, number
from core.defenses.base import Defense, check_window, require_odd
from core.threads import parallel_map

CACHED = 1 << 17  # values worked on at once on a CPU: the images, their sums and a weight stay in its cache


class Bilateral(Defense):
    """The mean of a window, weighted by nearness in place and in color (Tomasi and Manduchi 1998, equations 3-5).

    w(p, q) = exp(−‖p − q‖² / 2σs²) · exp(−‖x(p) − x(q)‖² / 2σr²), the color distance over all channels; the border is mirrored.
    N×C×H×W in [0, 1] → the same shape and type. Differentiable.

    Raises:
        InvalidInput: the window is even, or larger than the image.
    """

    name: ClassVar[str] = "bilateral"
    title: ClassVar[str] = "Bilateral filter"
    summary: ClassVar[str] = "Blurs the image where it is even and stops at its edges."
    paper: ClassVar[str] = (
        "Tomasi and Manduchi 1998, equations 3-5; Naseer, Khan and Porikli 2019, Table 1 (BF, window 5)"
    )

    window: int = number(5, 3, 15, step=2, unit=" px", help="Side of the window; an odd number.")
    sigma_spatial: FractionFloat = number(
        1.0, 0.1, 20, step=0.1, slider_max=5, unit=" px", help="σs: how far in place a pixel still counts."
    )
    sigma_range: FractionFloat | None = number(
        None,
        0.01,
        2,
        step=0.01,
        slider_max=0.5,
        help="σr: how far in color; unset is the image's own standard deviation.",
    )

    _odd = field_validator("window")(require_odd)

    def apply(self, images: Tensor) -> Tensor:
        check_window(self.title, self.window, images)
        return _Filter.apply(images, -0.5 / self._spread(images) ** 2, self.window // 2, self.sigma_spatial)  # type: ignore[no-any-return]

    def _spread(self, images: Tensor) -> Tensor:
        """σr: the one given, or each image's standard deviation, N×1×1×1 (any where it is flat, for there all are alike)."""
        if self.sigma_range is not None:
            return torch.full_like(images[:, :1, :1, :1], self.sigma_range)
        variance = images.var((1, 2, 3), unbiased=False, keepdim=True)
        flat = variance < 1e-12
        return torch.where(flat, 1.0, torch.where(flat, 1.0, variance).sqrt())


class _Filter(torch.autograd.Function):
    """The filter and its gradient, one offset of the window after another, a few images at a time.

    Autograd would keep what each offset makes, which is as many copies of the image as the window has pixels. Backward the weights
    are worked out again instead. For out_p = T_p / W_p with T_p = Σ w(p, q) x_q and W_p = Σ w(p, q), and g the gradient of out:
    a_p = g_p / W_p is that of T_p, b_p = −a_p·out_p that of W_p, so that of w(p, q) is a_p·x_q + b_p + a_q·x_p + b_q.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, scale: Tensor, reach: int, sigma_spatial: float) -> Tensor:
        smooth, weights = torch.empty_like(images), torch.ones_like(images[:, :1])

        def filtered(part: tuple[Tensor, ...]) -> None:
            _filtered(part, reach, sigma_spatial)

        parallel_map(filtered, _parts(images, scale, smooth, weights))
        ctx.save_for_backward(images, scale, smooth, weights)
        ctx.reach, ctx.sigma_spatial = reach, sigma_spatial
        return smooth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        images, scale, smooth, weights = ctx.saved_tensors
        by_image, by_scale = torch.empty_like(images), torch.zeros_like(scale)

        def differentiated(part: tuple[Tensor, ...]) -> None:
            _differentiated(part, ctx.reach, ctx.sigma_spatial)

        parallel_map(differentiated, _parts(images, scale, smooth, weights, gradient, by_image, by_scale))
        return by_image, by_scale, None, None


def _parts(images: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors, N long each, a few images at a time on a CPU: what is made of them then stays in its cache."""
    few = max(1, CACHED // images[0].numel()) if images.device.type == "cpu" else len(images)
    return zip(*(torch.split(tensor, few) for tensor in (images, *others)), strict=True)


class _Pairs(NamedTuple):
    """All pairs of pixels at one offset of which at least one lies in the image.

    Attributes:
        upper, lower: where the two pixels of each lie on the padded image.
        first, second: where the image's pixels lie among them, as the upper of their pairs and as the lower.
        nearness: their weight by place.
    """

    upper: tuple[slice, slice]
    lower: tuple[slice, slice]
    first: tuple[slice, slice]
    second: tuple[slice, slice]
    nearness: float


def _pairs(height: int, width: int, reach: int, sigma_spatial: float) -> Iterator[_Pairs]:
    """Offset by offset. A pair of pixels has one weight, which counts for either of them: half of the window is enough."""
    half = [(0, right) for right in range(1, reach + 1)]
    half += [(down, right) for down in range(1, reach + 1) for right in range(-reach, reach + 1)]
    for down, right in half:
        check()
        left, rows, columns = max(0, right), height + down, width + abs(right)
        top, start = reach - down, reach - left
        yield _Pairs(
            (slice(top, top + rows), slice(start, start + columns)),
            (slice(top + down, top + down + rows), slice(start + right, start + right + columns)),
            (slice(down, down + height), slice(left, left + width)),
            (slice(0, height), slice(left - right, left - right + width)),
            exp(-0.5 * (down * down + right * right) / sigma_spatial**2),
        )


def _at(tensor: Tensor, where: tuple[slice, slice]) -> Tensor:
    return tensor[:, :, where[0], where[1]]


def _squared(difference: Tensor) -> Tensor:
    """The squared distance over the channels, N×1×H×W."""
    squares = difference.square()
    return squares.sum(1, keepdim=True) if squares.shape[1] > 1 else squares


def _filtered(part: tuple[Tensor, ...], reach: int, sigma_spatial: float) -> None:
    """Of images, scale, smooth and weights: write the filtered images into `smooth` and the sums of their weights, N×1×H×W, into
    `weights`, which holds ones."""
    images, scale, smooth, weights = part
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    smooth.copy_(images)
    for pairs in _pairs(images.shape[2], images.shape[3], reach, sigma_spatial):
        upper, lower = _at(padded, pairs.upper), _at(padded, pairs.lower)
        weight = (_squared(upper - lower) * scale).exp_().mul_(pairs.nearness)
        for mine, other in ((pairs.first, lower), (pairs.second, upper)):
            share = _at(weight, mine)
            smooth.add_(share * _at(other, mine))
            weights.add_(share)
    smooth.div_(weights)


def _differentiated(part: tuple[Tensor, ...], reach: int, sigma_spatial: float) -> None:
    """The same images, and the gradient of `smooth`: write that of the images into `by_image`, and add that of `scale` to `by_scale`."""
    images, scale, smooth, weights, gradient, by_image, by_scale = part
    around = (reach,) * 4
    padded = F.pad(images, around, mode="reflect")
    of_total = gradient / weights
    of_weights = -(of_total * smooth).sum(1, keepdim=True)
    totals, sums = F.pad(of_total, around), F.pad(of_weights, around)
    by_padded = torch.zeros_like(padded)
    for pairs in _pairs(images.shape[2], images.shape[3], reach, sigma_spatial):
        upper, lower = _at(padded, pairs.upper), _at(padded, pairs.lower)
        difference = upper - lower
        distance = _squared(difference)
        weight = (distance * scale).exp_().mul_(pairs.nearness)
        above, below = _at(totals, pairs.upper), _at(totals, pairs.lower)
        of_weight = (above * lower + below * upper).sum(1, keepdim=True)
        of_weight.add_(_at(sums, pairs.upper)).add_(_at(sums, pairs.lower)).mul_(weight)
        by_scale.add_((of_weight * distance).sum((1, 2, 3), keepdim=True))
        apart = difference.mul_(of_weight.mul_(2 * scale))
        _at(by_padded, pairs.upper).add_(weight * below).add_(apart)
        _at(by_padded, pairs.lower).add_(weight * above).sub_(apart)
    by_image.copy_(torch.ops.aten.reflection_pad2d_backward(by_padded, images, around)).add_(of_total)
