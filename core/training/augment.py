"""Random views of a batch of pictures, each from its own numbers, in one tensor operation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(pictures: Tensor, generator: torch.Generator, by: int, flip: bool = True) -> Tensor:
    """Shift each of N×C×H×W by up to `by` pixels in both directions (mirrored border) and flip half of them."""
    n, _, height, width = pictures.shape
    padded = F.pad(pictures, (by, by, by, by), mode="reflect").permute(0, 2, 3, 1)
    top, left = torch.randint(0, 2 * by + 1, (2, n, 1), generator=generator)
    rows, columns = torch.arange(height) + top, torch.arange(width) + left
    if flip:
        flips = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(flips, columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cropped(
    pictures: Tensor, generator: torch.Generator, size: int, smallest: float, turn: float = 0.0, colour: float = 0.0
) -> Tensor:
    """A random part of each of N×3×H×W (at least `smallest` of its area), flipped at random, as N×3×size×size.

    `turn` is the largest rotation in radians; `colour` the largest change of brightness and contrast.
    """
    n = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    side = uniform(smallest, 1.0).sqrt()
    stretch = uniform(-0.28, 0.28).exp().sqrt()  # sides in the ratio 3:4 to 4:3
    across, down = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    x, y = (1 - across) * uniform(-1, 1), (1 - down) * uniform(-1, 1)
    across = torch.where(torch.rand(n, generator=generator) < 0.5, -across, across)
    angle = uniform(-turn, turn)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([across * cos, -down * sin, x, across * sin, down * cos, y], 1).view(n, 2, 3)
    grid = F.affine_grid(theta, [n, 3, size, size], align_corners=False)
    views = F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    if colour:
        contrast, brightness = uniform(1 - colour, 1 + colour), uniform(-colour / 2, colour / 2)
        mean = views.mean((1, 2, 3), keepdim=True)
        views = ((views - mean) * contrast.view(-1, 1, 1, 1) + mean + brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    return views
