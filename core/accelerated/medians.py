"""Medians, compiled: a network of minima and maxima on blocks of windows whose rows stay in the cache; and their gradient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Row = npt.NDArray[np.floating]
Plane = npt.NDArray[np.floating]
Operations = npt.NDArray[np.int64]  # as `selection.CompiledNetwork` has them


@njit(nogil=True, cache=True, error_model="numpy")
def run(
    flat: Row,
    stride: int,
    window: int,
    operations: Operations,
    slots: int,
    middle: int,
    shift: int,
    block: int,
    out: Row,
) -> None:
    """Write the medians of the windows whose corners are at flat[0 : len(out)], in rows `stride` apart, into `out`.

    Slots 0 … window − 1 hold the window's rows; the median stands in slot `middle`, `shift` to the right.
    """
    rows = np.empty((slots, block + window - 1), flat.dtype)
    for start in range(0, len(out), block):
        count = min(block, len(out) - start)
        for row in range(window):
            source = flat[start + row * stride : start + row * stride + count + window - 1]
            target = rows[row]
            for k in range(count + window - 1):
                target[k] = source[k]
        for number in range(len(operations)):
            first, at, second, beside, least, largest, extra = operations[number]
            size = count + extra
            a, b = rows[first][at : at + size], rows[second][beside : beside + size]
            # Slices that begin at zero and one result a loop or two: only such loops become vector instructions.
            if largest < 0:
                low = rows[least][:size]
                for k in range(size):
                    low[k] = a[k] if a[k] < b[k] else b[k]
            elif least < 0:
                high = rows[largest][:size]
                for k in range(size):
                    high[k] = b[k] if a[k] < b[k] else a[k]
            else:
                low, high = rows[least][:size], rows[largest][:size]
                for k in range(size):
                    p, q = a[k], b[k]
                    low[k] = p if p < q else q
                    high[k] = q if p < q else p
        median, result = rows[middle][shift : shift + count], out[start : start + count]
        for k in range(count):
            result[k] = median[k]


@njit(nogil=True, cache=True, error_model="numpy")
def backward(padded: Plane, middle: Plane, window: int, grad_output: Plane, out: Plane) -> None:
    """Write into `out`, as large as `padded`, the gradient by it of Σ grad_output ⊙ middle, its windows' medians: equals share alike."""
    height, width = middle.shape
    zero, one = padded.dtype.type(0), padded.dtype.type(1)
    share = np.empty(width, padded.dtype)
    out[:] = zero
    for i in range(height):
        chosen, gradient = middle[i], grad_output[i]
        share[:] = zero
        for top in range(window):
            for left in range(window):
                value = padded[i + top, left:]
                for k in range(width):
                    share[k] += one if value[k] == chosen[k] else zero
        for k in range(width):
            share[k] = gradient[k] / share[k]
        for top in range(window):
            for left in range(window):
                value, to = padded[i + top, left:], out[i + top, left:]
                for k in range(width):
                    to[k] += share[k] if value[k] == chosen[k] else zero
