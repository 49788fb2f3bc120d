"""Color maps, perceptually uniform and safe for color-blind readers: values of images as colors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap

from core.figures.colors import BLUE, VERMILION, WHITE

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.floating]


def _table(name: str | LinearSegmentedColormap) -> Pixels:
    colors = colormaps[name] if isinstance(name, str) else name
    table: Pixels = (255 * colors(np.arange(256))[:, :3]).round().astype(np.uint8)
    return table


CIVIDIS = _table("cividis")  # magnitudes
INFERNO = _table("inferno")  # heat over an image
DIVERGING = _table(LinearSegmentedColormap.from_list("mirage", [BLUE, WHITE, VERMILION], 256))  # differences
CLASSES = np.array(  # Okabe and Ito's colors, then lighter ones, for regions of classes
    [
        *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66)),
        *((120, 120, 120), (148, 103, 189), (140, 86, 75)),
    ],
    np.uint8,
)


def levels(values: Values, top: float = 1.0) -> Pixels:
    """A map H×W of values in [0, top] in 256 steps, H×W×1, to be shown in `CIVIDIS`."""
    steps: Pixels = np.clip(values * (255 / top) if top > 0 else values, 0, 255).round().astype(np.uint8)[..., None]
    return steps


def signed(values: Values, limit: float) -> Pixels:
    """A map H×W of values in [−limit, limit] in 256 steps, H×W×1, to be shown in `DIVERGING`: 0 is white."""
    scaled = values / limit if limit > 0 else np.zeros_like(values)
    steps: Pixels = np.clip(127.5 + 127.5 * scaled, 0, 255).round().astype(np.uint8)[..., None]
    return steps


def heat(pixels: Pixels, values: Values, opacity: float) -> Pixels:
    """A map H×W of values in [0, 1] in inferno over an image H×W×C; `opacity` 0 is the image, 1 the map."""
    shown = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
    colors = INFERNO[levels(values)[..., 0]]
    return ((1 - opacity) * shown + opacity * colors).round().astype(np.uint8)
