"""Local spatial smoothing of feature squeezing: the median of a window that may be even."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from core.declaration import number
from core.defenses.base import Defense, check_window
from core.defenses.median import median


class SpatialSmoothing(Defense):
    """The median of a window whose middle is its pixel, or right and below of it; of an even count the upper of the two middle ones.

    The border repeats its pixels outward (symmetric). As in the authors' code and in DKN's tables, windows 2 and 3 (Xu, Evans and
    Qi 2018, section III-B). N×C×H×W in [0, 1] → the same shape and type. Differentiable.

    Raises:
        InvalidInput: the window is larger than the image.
    """

    name: ClassVar[str] = "spatial"
    title: ClassVar[str] = "Spatial smoothing"
    summary: ClassVar[str] = "Feature squeezing's median filter, whose window may be even."
    paper: ClassVar[str] = "Xu, Evans and Qi 2018, Feature Squeezing, section III-B; DKN's tables, windows 2 and 3"

    window: int = number(2, 2, 8, step=1, unit=" px", help="Side of the window; the papers use 2 and 3.")

    def apply(self, images: Tensor) -> Tensor:
        check_window(self.title, self.window, images)
        before = self.window // 2
        rows, columns = (_repeated(side, before, self.window - 1 - before, images.device) for side in images.shape[2:])
        return median(images.index_select(2, rows).index_select(3, columns), self.window)


def _repeated(side: int, before: int, after: int, device: torch.device) -> Tensor:
    """Which pixel of a line lies at each place of the same line continued by its mirror image, edge pixel included."""
    places = torch.arange(-before, side + after, device=device)
    places = torch.where(places < 0, -1 - places, places)
    return torch.where(places >= side, 2 * side - 1 - places, places)
