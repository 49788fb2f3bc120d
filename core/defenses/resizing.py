"""Random resizing and padding: an attacker cannot know where the pixels will lie."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from core.declaration import FractionFloat, number
from core.defenses.base import Defense
from core.random_streams import RandomStreams
from core.warp import bilinear


class RandomResizePad(Defense):
    """Shrink each image to a random size and lay it at a random place on black (Xie et al. 2018, section 3; Defendr).

    N×C×H×W in [0, 1] → the same shape. The paper enlarges to a fixed size of its own; here the image keeps its size, so that
    any classifier can stand behind it. `apply` makes the draw that `seed` names; `sample` makes a new one.
    """

    name: ClassVar[str] = "random_resize"
    title: ClassVar[str] = "Random resize and pad"
    summary: ClassVar[str] = "Shrinks the image a little, by chance, and lays it somewhere on black."
    paper: ClassVar[str] = "Xie et al. 2018, section 3; Defendr"

    min_scale: FractionFloat = number(0.85, 0.1, 1, help="The smallest share of the side that is left.", step=0.01)
    seed: int = number(0, 0, 1_000_000, help="Which draw is shown.", step=1, slider_max=20)

    def apply(self, images: Tensor) -> Tensor:
        return self.sample(images, None)

    def sample(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None:  # one draw for all, so that an image's does not depend on its neighbors in the batch
            chance = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(self.seed)).expand(3, len(images), 1)
        else:
            chance = torch.rand(3, len(images), 1, generator=generator)
        return self._laid(images, chance)

    def sample_each(self, images: Tensor, streams: RandomStreams | None) -> Tensor:
        return self.sample(images, None) if streams is None else self._laid(images, streams.rand(3, 1).transpose(0, 1))

    def _laid(self, images: Tensor, chance: Tensor) -> Tensor:
        """Each image shrunk and laid by its three numbers in [0, 1] (3×N×1): its size, how far down and how far across."""
        n, _, height, width = images.shape
        share, down, across = chance.to(images.device)
        share = self.min_scale + (1 - self.min_scale) * share
        rows, inside_rows = _along(height, share, down)
        columns, inside_columns = _along(width, share, across)
        shape = (n, height, width)
        resized = bilinear(
            images,
            rows[:, :, None].expand(shape).to(images.dtype),
            columns[:, None, :].expand(shape).to(images.dtype),
        )
        return resized * (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]


def _along(side: int, share: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel of a line of `side` comes from (float N×side), and which lie on the image (bool N×side).

    `share` and `place`, both N×1 in [0, 1]: how much of the side the image takes, and how far along the rest it lies.
    """
    length = (share * side).round().clamp(1, side)
    start = (place * (side - length + 1)).floor().clamp(max=side - length)
    pixel = torch.arange(side, device=share.device) - start
    return ((pixel + 0.5) * side / length - 0.5).clamp(0, side - 1), (pixel >= 0) & (pixel < length)
