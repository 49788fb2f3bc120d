"""Local gradients smoothing, compiled: two passes over an image, and between them one over the sums of its strips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz", "contract"})
def gradient_magnitude(
    image: Values,
    image_bits: Places,
    luma: tuple[float, float, float],
    cuts: Places,
    magnitude: Values,
    magnitude_bits: Places,
    strips: Values,
) -> tuple[np.floating, bool]:
    """Write the gradient magnitude H×W of an image C×H×W (LGS, equation 5), and S×W its sums over the rows from one of the S + 1 `cuts`
    to the next; 1 / its largest value, or 1, and whether the image lies in [0, 1].

    The far corner has no gradient, so that the least value is 0 and equation 6 is a product.

    `image_bits` and `magnitude_bits` are the image's and the magnitude's bits as integers: of numbers that are not negative the
    larger one has the larger bits, NaN more than all, and integers are compared eight at a time.
    """
    height, width = magnitude.shape
    kind = image.dtype.type
    gray = np.empty((2, width), image.dtype)  # this row and the next one
    top = np.ones(1, image.dtype).view(magnitude_bits.dtype)[0]
    steepest = brightest = magnitude_bits.dtype.type(0)
    darkest = top
    of_red, of_green, of_blue = luma
    strip = -1
    for i in range(height + 1):
        if i < height:
            mixed = gray[i % 2]
            for c in range(len(image)):
                coded = image_bits[c, i]
                for j in range(width):
                    darkest, brightest = min(darkest, coded[j]), max(brightest, coded[j])
            if len(image) == 3:
                red, green, blue = image[0, i], image[1, i], image[2, i]
                for j in range(width):
                    mixed[j] = red[j] * of_red + green[j] * of_green + blue[j] * of_blue
            else:
                mixed[:] = image[0, i]
        if i == 0:
            continue
        here, out = gray[(i - 1) % 2], magnitude[i - 1]
        beside, below = here[1:], gray[i % 2] if i < height else here
        for j in range(width - 1):
            across, down = beside[j] - here[j], below[j] - here[j]
            out[j] = np.sqrt(across * across + down * down)
        out[width - 1] = abs(below[width - 1] - here[width - 1])
        if i - 1 == cuts[strip + 1]:
            strip += 1
            strips[strip] = 0
        sums = strips[strip]
        for j in range(width):
            sums[j] += out[j]
        coded = magnitude_bits[i - 1]
        for j in range(width):
            steepest = max(steepest, coded[j])
    largest = np.array([steepest], magnitude_bits.dtype).view(image.dtype)[0]
    return kind(1) / largest if largest > 0 else kind(1), darkest >= 0 and brightest <= top


@njit(nogil=True, cache=True, error_model="numpy")
def select_windows(
    strips: Values,
    scale: np.floating,
    tops: Places,
    lefts: Places,
    cuts: Places,
    window: int,
    threshold: float,
    means: Values,
    selected: Mask,
) -> None:
    """Write each window's mean R×C of magnitude·scale, and whether it exceeds the threshold (equation 7)."""
    column, totals = np.empty(strips.shape[1], strips.dtype), np.empty(len(lefts))
    first, end = np.searchsorted(cuts, tops), np.searchsorted(cuts, tops + window)
    for r in range(len(tops)):
        column[:] = strips[first[r]]
        for strip in range(first[r] + 1, end[r]):
            sums = strips[strip]
            for j in range(len(column)):
                column[j] += sums[j]
        totals[:] = 0
        for j in range(window):
            for c in range(len(lefts)):
                totals[c] += column[lefts[c] + j]
        for c in range(len(lefts)):
            means[r, c] = totals[c] / (window * window) * scale
            selected[r, c] = means[r, c] > threshold


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def suppress(
    image: Values,
    magnitude: Values,
    scale: np.floating,
    tops: Places,
    lefts: Places,
    cuts: Places,
    window: int,
    selected: Mask,
    strength: float,
    normalized: Values,
    region: Mask,
    suppression: Values,
    out: Values,
) -> None:
    """Write ĝ = magnitude·scale (equation 6), the union of the kept windows, inside it clip(λ·ĝ, 0, 1), and what that leaves of
    an image C×H×W (equation 8); where `suppression` has one row, each row of it takes the last one's place and the other two are
    left alone."""
    height, width = magnitude.shape
    kind = image.dtype.type
    by, factor, one = kind(scale), kind(strength), kind(1)
    strong = np.empty(len(lefts), np.bool_)  # the columns of windows that have a kept one over these rows of pixels
    weight = np.empty(width, image.dtype)  # λ where the rows lie in a kept window, else 0
    whole = len(suppression) > 1
    for strip in range(len(cuts) - 1):  # within a strip the same windows lie over every row
        strong[:] = False
        for r in range(len(tops)):
            if tops[r] <= cuts[strip] < tops[r] + window:
                for c in range(len(lefts)):
                    strong[c] |= selected[r, c]
        weight[:] = 0
        for c in range(len(lefts)):
            if strong[c]:
                for j in range(lefts[c], lefts[c] + window):
                    weight[j] = factor
        for i in range(cuts[strip], cuts[strip + 1]):
            magnitudes, taken = magnitude[i], suppression[i % len(suppression)]
            for j in range(width):
                taken[j] = min(magnitudes[j] * by * weight[j], one)
            for c in range(len(image)):
                before, after = image[c, i], out[c, i]
                for j in range(width):
                    after[j] = before[j] * (one - taken[j])
            if whole:
                even = normalized[i]
                for j in range(width):
                    even[j] = magnitudes[j] * by
        if whole:
            for c in range(len(lefts)):
                if strong[c]:
                    region[cuts[strip] : cuts[strip + 1], lefts[c] : lefts[c] + window] = True


@njit(nogil=True, cache=True, error_model="numpy")
def smooth(
    images: Values,
    image_bits: Places,
    luma: tuple[float, float, float],
    tops: Places,
    lefts: Places,
    window: int,
    threshold: float,
    strength: float,
    magnitude: Values,
    magnitude_bits: Places,
    normalized: Values,
    means: Values,
    selected: Mask,
    region: Mask,
    suppression: Values,
    out: Values,
) -> bool:
    """All of it for images N×C×H×W into `out`, and whether they lie in [0, 1]; what is computed on the way is kept for each of N
    images, or for the last of them. `region` begins as False."""
    cuts = np.unique(np.concatenate((tops, tops + window)))
    strips = np.empty((len(cuts) - 1, images.shape[3]), images.dtype)
    fine = True
    for number in range(len(images)):
        at = number % len(magnitude)
        image, steep = images[number], magnitude[at]
        scale, inside = gradient_magnitude(image, image_bits[number], luma, cuts, steep, magnitude_bits[at], strips)
        select_windows(strips, scale, tops, lefts, cuts, window, threshold, means[at], selected[at])
        suppress(
            *(image, steep, scale, tops, lefts, cuts, window, selected[at], strength),
            *(normalized[at], region[at], suppression[at], out[number]),
        )
        fine &= inside
    return fine
