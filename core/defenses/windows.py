"""What filters over a window share: the checks of the window and the reflected border."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from core.inputs import BadInput


def odd(window: int) -> int:
    """The window, if it has a middle."""
    if window % 2 == 0:
        raise BadInput(f"The window is {window}; it must be odd, so that it has a middle pixel.")
    return window


def reflected(images: Tensor, reach: int, title: str) -> Tensor:
    """N×C×H×W with `reach` more pixels on every side, mirrored about the border's own pixels (scipy's 'mirror').

    Raises:
        BadInput: the picture is too small to be mirrored so far.
    """
    height, width = images.shape[2:]
    if reach >= min(height, width):
        raise BadInput(
            f"{title}: a window of {2 * reach + 1} pixels is too large for a picture of {width}×{height}; choose a smaller one."
        )
    return F.pad(images, (reach, reach, reach, reach), mode="reflect")
