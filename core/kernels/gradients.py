"""Local gradients smoothing, compiled: three passes over a picture that stays in the cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz", "contract"})
def steepness(image: Values, luma: tuple[float, float, float], magnitude: Values) -> tuple[np.floating, np.floating]:
    """Write the gradient magnitude H×W of a picture C×H×W (LGS, equation 5); its least value and 1 / (largest − least), or 1."""
    height, width = magnitude.shape
    kind = image.dtype.type
    low, high = kind(np.inf), kind(-np.inf)
    grey = np.empty((2, width), image.dtype)  # this row and the next one
    of_red, of_green, of_blue = luma
    for i in range(height + 1):
        if i < height:
            mixed = grey[i % 2]
            if len(image) == 3:
                red, green, blue = image[0, i], image[1, i], image[2, i]
                for j in range(width):
                    mixed[j] = red[j] * of_red + green[j] * of_green + blue[j] * of_blue
            else:
                mixed[:] = image[0, i]
        if i == 0:
            continue
        here, out = grey[(i - 1) % 2], magnitude[i - 1]
        beside, below = here[1:], grey[i % 2] if i < height else here
        for j in range(width - 1):
            across, down = beside[j] - here[j], below[j] - here[j]
            out[j] = np.sqrt(across * across + down * down)
        out[width - 1] = abs(below[width - 1] - here[width - 1])
        for j in range(width):
            low, high = min(low, out[j]), max(high, out[j])
    return low, kind(1) / (high - low) if high > low else kind(1)


@njit(nogil=True, cache=True, error_model="numpy")
def look(
    magnitude: Values,
    low: np.floating,
    scale: np.floating,
    tops: Places,
    lefts: Places,
    window: int,
    threshold: float,
    means: Values,
    kept: Mask,
    region: Mask,
) -> None:
    """Write each window's mean R×C of (magnitude − low)·scale, whether it exceeds the threshold, and the union H×W of those that
    do (equation 7)."""
    width = magnitude.shape[1]
    column = np.empty(width, magnitude.dtype)
    region[:] = False
    for r in range(len(tops)):
        column[:] = 0
        for i in range(tops[r], tops[r] + window):
            given = magnitude[i]
            for j in range(width):
                column[j] += given[j]
        for c in range(len(lefts)):
            total = 0.0
            for j in range(lefts[c], lefts[c] + window):
                total += column[j]
            means[r, c] = (total / (window * window) - low) * scale
            kept[r, c] = means[r, c] > threshold
            if kept[r, c]:
                for i in range(tops[r], tops[r] + window):
                    region[i, lefts[c] : lefts[c] + window] = True


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def darken(
    image: Values,
    magnitude: Values,
    low: np.floating,
    scale: np.floating,
    region: Mask,
    strength: float,
    normalised: Values,
    suppression: Values,
    out: Values,
) -> None:
    """Write ĝ = (magnitude − low)·scale (equation 6), inside the region clip(λ·ĝ, 0, 1), and what that leaves of a picture C×H×W
    (equation 8); where `normalised` and `suppression` have one row, each row of them takes the last one's place."""
    height, width = magnitude.shape
    kind = image.dtype.type
    least, by, factor, zero, one = kind(low), kind(scale), kind(strength), kind(0), kind(1)
    for i in range(height):
        given, inside = magnitude[i], region[i]
        even, taken = normalised[i % len(normalised)], suppression[i % len(suppression)]
        for j in range(width):
            even[j] = (given[j] - least) * by
        for j in range(width):
            taken[j] = min(max(even[j] * factor, zero), one) if inside[j] else zero
        for c in range(len(image)):
            before, after = image[c, i], out[c, i]
            for j in range(width):
                after[j] = before[j] * (one - taken[j])


@njit(nogil=True, cache=True, error_model="numpy")
def smooth(
    images: Values,
    luma: tuple[float, float, float],
    tops: Places,
    lefts: Places,
    window: int,
    threshold: float,
    strength: float,
    magnitude: Values,
    normalised: Values,
    means: Values,
    kept: Mask,
    region: Mask,
    suppression: Values,
    out: Values,
) -> None:
    """All of it for pictures N×C×H×W into `out`; what is computed on the way is kept for each of N pictures, or for the last of them."""
    for number in range(len(images)):
        at = number % len(magnitude)
        low, scale = steepness(images[number], luma, magnitude[at])
        look(magnitude[at], low, scale, tops, lefts, window, threshold, means[at], kept[at], region[at])
        even, taken, left = normalised[at], suppression[at], out[number]
        darken(images[number], magnitude[at], low, scale, region[at], strength, even, taken, left)
