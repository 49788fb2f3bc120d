"""Chambolle's projection on one plane, compiled: both sweeps of an iteration in one pass over memory that stays in the cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Plane = npt.NDArray[np.floating]

# Sums in any order and fused multiply-adds, but what is not a number stays so.
_FREE = {"reassoc", "contract", "arcp", "nsz"}


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FREE)
def solve(
    image: Plane, weight: float, tolerance: float, iterations: int, tau: float, out: Plane, down: Plane, right: Plane
) -> int:
    """Write the minimum of ½‖u − image‖² + weight·Σ|∇u| into `out` (Chambolle 2004, equation 9).

    All planes are H×W; `down` and `right` hold the dual field, zero at first. It ends when the energy changes by no more than the share
    `tolerance` of its first value; returned is the number of the last iteration.
    """
    height, width = image.shape
    zero, one = image.dtype.type(0), image.dtype.type(1)
    step, slope = image.dtype.type(tau), image.dtype.type(tau / weight)
    first = previous = 0.0
    for iteration in range(iterations):
        energy = 0.0
        for i in range(height + 1):
            if i < height:  # out = image − divergence, for this row
                a, b, u, x = down[i], right[i], out[i], image[i]
                square = zero
                if i == 0:
                    d = a[0] + b[0]
                    u[0] = x[0] - d
                    square += d * d
                    for j in range(1, width):
                        d = a[j] + b[j] - b[j - 1]
                        u[j] = x[j] - d
                        square += d * d
                else:
                    above = down[i - 1]
                    d = a[0] + b[0] - above[0]
                    u[0] = x[0] - d
                    square += d * d
                    for j in range(1, width):
                        d = a[j] + b[j] - b[j - 1] - above[j]
                        u[j] = x[j] - d
                        square += d * d
                energy += square
            if i == 0:
                continue
            # The row before it now has its neighbour below, and its dual field is needed no more as it was.
            a, b, u, under = down[i - 1], right[i - 1], out[i - 1], out[min(i, height - 1)]
            variation = zero
            for j in range(width - 1):
                g, h = under[j] - u[j], u[j + 1] - u[j]  # the last row has itself below: no difference
                norm = np.sqrt(g * g + h * h)
                variation += norm
                share = one / (one + slope * norm)
                a[j] = (a[j] - step * g) * share
                b[j] = (b[j] - step * h) * share
            g = under[width - 1] - u[width - 1]
            norm = abs(g)
            variation += norm
            a[width - 1] = (a[width - 1] - step * g) / (one + slope * norm)
            energy += weight * variation
        if iteration == 0:
            first = energy
        elif abs(previous - energy) <= tolerance * first:  # of a flat plane: 0 ≤ 0
            return iteration
        previous = energy
    return iterations - 1
