"""Per-pixel convolution: every pixel of an image has a kernel of its own."""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def per_pixel_convolution(images: Tensor, kernels: Tensor) -> Tensor:
    """The mean over m² shifted copies of the images, each multiplied by its own weights (Hao et al. 2019, equation 3).

    Neither pass holds the m² shifted copies at once; each pass adds them up one by one.

    Args:
        images: N×C×H×W. Outside of the image the values are zero.
        kernels: N×m²×C×H×W with odd m; entry i weighs the image shifted by (i // m - m // 2, i % m - m // 2) rows and columns.

    Returns:
        N×C×H×W: I_h = 1/m² Σ_i D^i ⊙ I_c^i.
    """
    result: Tensor = _PerPixel.apply(images, kernels)
    return result


def contributions(images: Tensor, kernels: Tensor) -> Tensor:
    """What each of the m² weights of a pixel adds to that pixel's new value; the sum over them is `per_pixel_convolution`.

    Args:
        images: N×C×H×W.
        kernels: N×m²×C×H×W.

    Returns:
        N×m²×C×H×W.
    """
    side = _side(kernels)
    height, width = images.shape[2:]
    padded = F.pad(images, (side // 2,) * 4)
    shifted = [_shifted(padded, i, side, height, width) for i in range(side * side)]
    return kernels * torch.stack(shifted, 1) / (side * side)


class _PerPixel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor) -> Tensor:
        side = _side(kernels)
        height, width = images.shape[2:]
        padded = F.pad(images.contiguous(), (side // 2,) * 4)
        ctx.save_for_backward(padded, kernels)
        total = torch.zeros_like(kernels[:, 0])
        for i in range(side * side):
            total.addcmul_(kernels[:, i], _shifted(padded, i, side, height, width))
        return total.div_(side * side)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        padded, kernels = ctx.saved_tensors
        side = _side(kernels)
        height, width = kernels.shape[3:]
        gradient = gradients[0] / (side * side)
        of_images = torch.zeros_like(padded) if ctx.needs_input_grad[0] else None
        of_kernels = torch.empty_like(kernels) if ctx.needs_input_grad[1] else None
        for i in range(side * side):
            if of_images is not None:
                _shifted(of_images, i, side, height, width).addcmul_(kernels[:, i], gradient)
            if of_kernels is not None:
                torch.mul(_shifted(padded, i, side, height, width), gradient, out=of_kernels[:, i])
        if of_images is not None:
            edge = side // 2
            of_images = of_images[:, :, edge : edge + height, edge : edge + width]
        return of_images, of_kernels


def _side(kernels: Tensor) -> int:
    """m of m² kernels."""
    return isqrt(kernels.shape[1])


def _shifted(padded: Tensor, i: int, side: int, height: int, width: int) -> Tensor:
    """The i-th crop of the padded images, a view."""
    top, left = divmod(i, side)
    return padded[:, :, top : top + height, left : left + width]
