"""Colour maps, even to the eye and safe for colour-blind readers: values of pictures as colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.floating]

BLUE, WHITE, VERMILION = "#0072B2", "#ffffff", "#D55E00"


def _table(name: str | LinearSegmentedColormap) -> Pixels:
    colours = colormaps[name] if isinstance(name, str) else name
    table: Pixels = (255 * colours(np.arange(256))[:, :3]).round().astype(np.uint8)
    return table


CIVIDIS = _table("cividis")  # magnitudes
INFERNO = _table("inferno")  # heat over a picture
DIVERGING = _table(LinearSegmentedColormap.from_list("mirage", [BLUE, WHITE, VERMILION], 256))  # differences
CLASSES = np.array(  # Okabe and Ito's colours, then lighter ones, for regions of classes
    [
        *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66)),
        *((120, 120, 120), (148, 103, 189), (140, 86, 75)),
    ],
    np.uint8,
)


def levels(values: Values, top: float = 1.0) -> Pixels:
    """A map H×W of values in [0, top] in 256 steps, H×W×1, to be shown in `CIVIDIS`."""
    return np.clip(values * (255 / top) if top > 0 else values, 0, 255).round().astype(np.uint8)[..., None]


def signed(values: Values, limit: float) -> Pixels:
    """A map H×W of values in [−limit, limit] in 256 steps, H×W×1, to be shown in `DIVERGING`: 0 is white."""
    scaled = values / limit if limit > 0 else np.zeros_like(values)
    return np.clip(127.5 + 127.5 * scaled, 0, 255).round().astype(np.uint8)[..., None]


def heat(pixels: Pixels, values: Values, opacity: float) -> Pixels:
    """A map H×W of values in [0, 1] in inferno over a picture H×W×C; `opacity` 0 is the picture, 1 the map."""
    shown = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
    colours = INFERNO[levels(values)[..., 0]]
    return ((1 - opacity) * shown + opacity * colours).round().astype(np.uint8)
