"""Chambolle's projection on one plane, compiled: both sweeps of an iteration in one pass over memory that stays in the cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Plane = npt.NDArray[np.floating]

ROWS = 16  # worked on as one long row, whose odd end, which no vector instruction fits, comes once for all of them


# Sums in any order and fused multiply-adds, but what is not a number stays so.
@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})
def solve(image: Plane, weight: float, tolerance: float, iterations: int, tau: float, out: Plane) -> int:
    """Write the minimum of ½‖u − image‖² + weight·Σ|∇u|, image and `out` H×W, into `out` (Chambolle 2004, equation 9).

    It ends when the energy changes by no more than the share `tolerance` of its first value; returned is the number of the last
    iteration.
    """
    height, width = image.shape
    size = height * width
    zero, one = image.dtype.type(0), image.dtype.type(1)
    step, slope = image.dtype.type(tau), image.dtype.type(tau / weight)
    x = image.reshape(size)
    # The dual field, whose row before the first and column before the first stay zero; u has a row more, a copy of its last one.
    down, right = np.zeros(size + width, image.dtype), np.zeros(size + 1, image.dtype)
    u, edge = np.empty(size + width, image.dtype), np.empty(ROWS + 1, image.dtype)
    first = previous = 0.0
    last = iterations - 1
    for iteration in range(iterations):
        energy, done = 0.0, 0
        for start in range(0, height, ROWS):
            stop = min(start + ROWS, height)
            # u = image − divergence. Slices that begin at zero: only such loops become vector instructions.
            here, there = start * width, stop * width
            above, below = down[here:there], down[here + width : there + width]
            before, behind = right[here:there], right[here + 1 : there + 1]  # zero at the end of the row before
            now, pixels = u[here:there], x[here:there]
            square = zero
            for k in range(there - here):
                d = below[k] + behind[k] - before[k] - above[k]
                now[k] = pixels[k] - d
                square += d * d
            if stop == height:
                for k in range(width):
                    u[size + k] = u[size - width + k]
            else:
                stop -= 1  # its neighbour below is not there yet
            # The field of these rows is needed no more as it was. At a row's end the loop takes the next row's pixel for a
            # neighbour; that is put right behind it.
            for i in range(done, stop):
                edge[i - done] = down[(i + 2) * width - 1]
            here, there = done * width, stop * width
            now, beside, under = u[here:there], u[here + 1 : there + 1], u[here + width : there + width]
            p, q = down[here + width : there + width], right[here + 1 : there + 1]
            variation = zero
            for k in range(there - here):
                g, h = under[k] - now[k], beside[k] - now[k]
                norm = np.sqrt(g * g + h * h)
                variation += norm
                share = one / (one + slope * norm)
                p[k] = (p[k] - step * g) * share
                q[k] = (q[k] - step * h) * share
            for i in range(done, stop):
                k = (i + 1) * width - 1
                g, h = u[k + width] - u[k], u[k + 1] - u[k]
                variation += abs(g) - np.sqrt(g * g + h * h)
                down[k + width] = (edge[i - done] - step * g) / (one + slope * abs(g))
                right[k + 1] = zero
            energy += float(square + weight * variation)
            done = stop
        if iteration == 0:
            first = energy
        elif abs(previous - energy) <= tolerance * first:  # of a flat plane: 0 ≤ 0
            last = iteration
            break
        previous = energy
    for i in range(height):
        for j in range(width):
            out[i, j] = u[i * width + j]
    return last
