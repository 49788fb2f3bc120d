"""Chambolle's projection on one plane and its gradient, compiled: passes over memory that stays in the cache."""

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
    step, grad_output = image.dtype.type(tau), image.dtype.type(tau / weight)
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
            u_rows, pixels = u[here:there], x[here:there]
            square = zero
            for k in range(there - here):
                d = below[k] + behind[k] - before[k] - above[k]
                u_rows[k] = pixels[k] - d
                square += d * d
            if stop == height:
                for k in range(width):
                    u[size + k] = u[size - width + k]
            else:
                stop -= 1  # its neighbor below is not there yet
            # The field of these rows is needed no more as it was. At a row's end the loop takes the next row's pixel for a
            # neighbor; that is put right behind it.
            for i in range(done, stop):
                edge[i - done] = down[(i + 2) * width - 1]
            here, there = done * width, stop * width
            center, beside, under = u[here:there], u[here + 1 : there + 1], u[here + width : there + width]
            p, q = down[here + width : there + width], right[here + 1 : there + 1]
            variation = zero
            for k in range(there - here):
                g, h = under[k] - center[k], beside[k] - center[k]
                norm = np.sqrt(g * g + h * h)
                variation += norm
                share = one / (one + grad_output * norm)
                p[k] = (p[k] - step * g) * share
                q[k] = (q[k] - step * h) * share
            for i in range(done, stop):
                k = (i + 1) * width - 1
                g, h = u[k + width] - u[k], u[k + 1] - u[k]
                variation += abs(g) - np.sqrt(g * g + h * h)
                down[k + width] = (edge[i - done] - step * g) / (one + grad_output * abs(g))
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


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})
def backward(image: Plane, weight: float, iterations: int, tau: float, grad_output: Plane, out: Plane) -> None:
    """Write into `out`, H×W, the gradient of Σ grad_output ⊙ u by the image, where u is what `solve` finds in that many iterations.

    They are done once more and remembered, then gone through backwards. An iteration makes the dual field p into
    p' = s·(p − τ·g), with g = ∇u, u = image − div p and s = 1 / (1 + τ/weight·|g|). Where n is the gradient by p', that by p as it
    stands there is s·n, and that by g is −τ·s·(n + (p'·n)/weight · g/|g|), where g/|g| counts as zero in flat places.
    """
    height, width = image.shape
    zero, one = image.dtype.type(0), image.dtype.type(1)
    step, ratio, share = image.dtype.type(tau), image.dtype.type(tau / weight), image.dtype.type(1 / weight)
    # The fields have a row before the first, or a column, that stays zero; what they act on has a column more, a copy of its last.
    u = np.empty((iterations, height, width + 1), image.dtype)
    down = np.zeros((iterations + 1, height + 1, width), image.dtype)
    right = np.zeros((iterations + 1, height, width + 1), image.dtype)
    for t in range(iterations):
        for i in range(height):
            u_row, pixels = u[t, i], image[i]
            below, above, behind, before = down[t, i + 1], down[t, i], right[t, i, 1:], right[t, i]
            for k in range(width):
                u_row[k] = pixels[k] - (below[k] + behind[k] - before[k] - above[k])
            u_row[width] = u_row[width - 1]
        for i in range(height):
            center, beside, under = u[t, i], u[t, i, 1:], u[t, min(i + 1, height - 1)]
            p, q, next_p, next_q = down[t, i + 1], right[t, i, 1:], down[t + 1, i + 1], right[t + 1, i, 1:]
            for k in range(width):
                g, h = under[k] - center[k], beside[k] - center[k]
                s = one / (one + ratio * np.sqrt(g * g + h * h))
                next_p[k] = (p[k] - step * g) * s
                next_q[k] = (q[k] - step * h) * s

    by_u = np.empty((height, width + 1), image.dtype)
    by_u[:, :width], by_u[:, width] = grad_output, grad_output[:, width - 1]
    out[:] = grad_output
    by_p, by_q = np.zeros((2, height, width), image.dtype)
    by_g, by_h = np.zeros((height + 1, width), image.dtype), np.zeros((height, width + 1), image.dtype)
    for t in range(iterations - 1, -1, -1):
        for i in range(height):
            center, beside, under = u[t, i], u[t, i, 1:], u[t, min(i + 1, height - 1)]
            slope_center, slope_beside, slope_under = by_u[i], by_u[i, 1:], by_u[min(i + 1, height - 1)]
            p, q, of_g, of_h = down[t + 1, i + 1], right[t + 1, i, 1:], by_g[i + 1], by_h[i, 1:]
            of_p, of_q = by_p[i], by_q[i]
            for k in range(width):
                n, m = of_p[k] + slope_under[k] - slope_center[k], of_q[k] + slope_beside[k] - slope_center[k]
                g, h = under[k] - center[k], beside[k] - center[k]
                norm = np.sqrt(g * g + h * h)
                s = one / (one + ratio * norm)
                along = share * (p[k] * n + q[k] * m) / norm if norm > zero else zero
                of_p[k], of_q[k] = s * n, s * m
                of_g[k], of_h[k] = -step * s * (n + along * g), -step * s * (m + along * h)
        for i in range(height):
            by_u_row, total = by_u[i], out[i]
            below, above, behind, before = by_g[i + 1], by_g[i], by_h[i, 1:], by_h[i]
            for k in range(width):
                by_u_row[k] = above[k] + before[k] - below[k] - behind[k]
                total[k] += by_u_row[k]
            by_u_row[width] = by_u_row[width - 1]
