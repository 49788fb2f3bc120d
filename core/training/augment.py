"""Random views of a batch of images, each from its own numbers, in one tensor operation; where the images lie, there the generator lies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(images: Tensor, generator: torch.Generator, by: int, flip: bool = True) -> Tensor:
    """Shift each of N×C×H×W by up to `by` pixels in both directions (mirrored border) and flip half of them."""
    n, _, height, width = images.shape
    padded = F.pad(images, (by, by, by, by), mode="reflect").permute(0, 2, 3, 1)
    device = images.device
    top, left = torch.randint(0, 2 * by + 1, (2, n, 1), generator=generator, device=device)
    rows, columns = torch.arange(height, device=device) + top, torch.arange(width, device=device) + left
    if flip:
        flips = torch.rand(n, 1, generator=generator, device=device) < 0.5
        columns = torch.where(flips, columns.flip(1), columns)
    return padded[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def cropped(
    images: Tensor,
    generator: torch.Generator,
    size: int,
    min_scale: float,
    max_rotation: float = 0.0,
    color_jitter: float = 0.0,
) -> Tensor:
    """A random part of each of N×3×H×W (at least `min_scale` of its area), flipped at random, as N×3×size×size.

    `max_rotation` is the largest rotation in radians; `color_jitter` the largest change of brightness and contrast.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator, device=images.device) * (high - low) + low

    side = uniform(min_scale, 1.0).sqrt()
    stretch = uniform(-0.28, 0.28).exp().sqrt()  # sides in the ratio 3:4 to 4:3
    across, down = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    x, y = (1 - across) * uniform(-1, 1), (1 - down) * uniform(-1, 1)
    across = torch.where(uniform(0, 1) < 0.5, -across, across)
    angle = uniform(-max_rotation, max_rotation)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([across * cos, -down * sin, x, across * sin, down * cos, y], 1).view(n, 2, 3)
    grid = F.affine_grid(theta, [n, 3, size, size], align_corners=False)
    views = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if color_jitter:
        contrast, brightness = uniform(1 - color_jitter, 1 + color_jitter), uniform(-color_jitter / 2, color_jitter / 2)
        mean = views.mean((1, 2, 3), keepdim=True)
        views = ((views - mean) * contrast.view(-1, 1, 1, 1) + mean + brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    return views


def _none(images: Tensor, generator: torch.Generator, done: float) -> Tensor:
    return images


def _shift(images: Tensor, generator: torch.Generator, done: float, *, by: int, flip: bool = False) -> Tensor:
    return shifted(images, generator, by, flip)


def _crop(
    images: Tensor,
    generator: torch.Generator,
    done: float,
    *,
    size: int,
    min_scale: float,
    max_rotation: float = 0.0,
    color_jitter: float = 0.0,
    first_size: int = 0,
) -> Tensor:
    """`first_size` is the side in the first half of the training, where it is given: smaller views, which cost less."""
    side = first_size if first_size and done < 0.5 else size
    return cropped(images, generator, side, min_scale, max_rotation, color_jitter)


# By the name that a plan gives them: images N×C×H×W in [0, 1], randomness and the share of the training done, to images.
AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {"none": _none, "shift": _shift, "crop": _crop}
