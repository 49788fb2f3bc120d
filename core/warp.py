"""Bilinear sampling at any place, exact where the place is a pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bilinear(images: Tensor, rows: Tensor, columns: Tensor, outside: float | None = None) -> Tensor:
    """Values N×C×h×w of images N×C×H×W at rows and columns (both N×h×w, in pixels; 0 is the first pixel's middle).

    x(r, c) = Σ x_q (1 - |r - r_q|)(1 - |c - c_q|) over the four pixels around (stAdv; LAN, equation 4). At whole numbers the
    weights are exactly 1 and 0, so nothing is rounded. Beyond the border lies the border's value, or `outside` if given.
    """
    n, channels, height, width = images.shape
    top, left = rows.detach().floor(), columns.detach().floor()
    down, across = rows - top, columns - left
    flat = images.flatten(2)
    total = torch.zeros(1, dtype=images.dtype, device=images.device)
    for step_down, step_across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = top + step_down, left + step_across
        weight = (down if step_down else 1 - down) * (across if step_across else 1 - across)
        index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        value = flat.gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).view(n, channels, *rows.shape[1:])
        if outside is not None:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            value = torch.where(inside[:, None], value, outside)
        total = total + weight[:, None] * value
    return total


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Each pixel of images N×C×H×W takes the value found at its own place plus flow N×2×H×W (rows, columns; pixels)."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=flow.dtype).view(1, -1, 1)
    columns = torch.arange(width, device=images.device, dtype=flow.dtype).view(1, 1, -1)
    return bilinear(images, rows + flow[:, 0], columns + flow[:, 1])


def variation(flow: Tensor, border: bool = False) -> Tensor:
    """Total variation of flow N×2×H×W, N: the sum over neighbors of the length of the flow's difference (LAN, equation 6).

    Each pair of neighbors counts once; with `border`, so do the pairs of a border pixel and the outside, where the flow is zero. The
    root is kept differentiable at zero.
    """
    tiny = 1e-12
    if border:
        flow = F.pad(flow, (1, 1, 1, 1))
    down, across = flow.diff(dim=2), flow.diff(dim=3)
    if border:  # without the pairs that lie outside altogether
        down, across = down[:, :, :, 1:-1], across[:, :, 1:-1]
    return (down.square().sum(1) + tiny).sqrt().sum((1, 2)) + (across.square().sum(1) + tiny).sqrt().sum((1, 2))


def scaled_to(flow: Tensor, eps: Tensor | float, variation: Tensor) -> Tensor:
    """The flow N×2×H×W, shrunk as a whole where its `variation` N is above `eps`."""
    return flow * (eps / variation.clamp(min=1e-12)).clamp(max=1).view(-1, 1, 1, 1)
