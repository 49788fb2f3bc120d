"""The difference operator, its inverse and what it bounds, against dense matrices, loops and attainable flows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.certify import flow_geometry as geometry
from core.warp import scaled_to, variation

SIDES = [(5, 7), (6, 6), (1, 4)]


def pairs(height: int, width: int) -> list[tuple[int | None, int | None]]:
    """Every pair of neighbors by the pixels' numbers, None for the outside."""

    def number(row: int, column: int) -> int | None:
        return row * width + column if 0 <= row < height and 0 <= column < width else None

    vertical = [(number(r - 1, c), number(r, c)) for r in range(height + 1) for c in range(width)]
    return vertical + [(number(r, c - 1), number(r, c)) for r in range(height) for c in range(width + 1)]


def dense(height: int, width: int) -> Tensor:
    """N as a matrix, one row a pair."""
    rows = torch.zeros(len(pairs(height, width)), height * width, dtype=torch.float64)
    for row, (before, after) in enumerate(pairs(height, width)):
        if before is not None:
            rows[row, before] = -1
        if after is not None:
            rows[row, after] = 1
    return rows


def total_variation(flow: Tensor) -> float:
    """Of 2×H×W by a loop over the pairs, the border's included."""
    flat, zero = flow.flatten(1), torch.zeros(2, dtype=flow.dtype)
    total = 0.0
    for before, after in pairs(*flow.shape[1:]):
        total += float(
            ((zero if after is None else flat[:, after]) - (zero if before is None else flat[:, before])).norm()
        )
    return total


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("side", SIDES)
def test_differences_and_their_adjoint_are_the_matrix(side: tuple[int, int]) -> None:
    matrix, field = dense(*side), noise(3, *side)
    vertical, horizontal = geometry.differences(field)
    both = torch.cat([vertical.flatten(1), horizontal.flatten(1)], 1)
    assert torch.allclose(both, field.flatten(1) @ matrix.T)
    assert torch.allclose(geometry.adjoint(vertical, horizontal).flatten(1), both @ matrix)


@pytest.mark.parametrize("side", SIDES)
def test_the_inverse_and_lambda_are_those_of_dense_linear_algebra(side: tuple[int, int]) -> None:
    matrix, field = dense(*side), noise(2, 3, *side)
    inverse = torch.linalg.inv(matrix.T @ matrix)
    assert torch.allclose(geometry.solve(field).flatten(2), field.flatten(2) @ inverse, atol=1e-12)
    assert torch.allclose(geometry.lambdas(*side).flatten(), inverse.diagonal().sqrt(), atol=1e-12)
    weights = field.abs()[0]
    expected = [math.sqrt(2) * float((w @ inverse @ w).sqrt()) for w in weights.flatten(1)]
    assert geometry.ellipsoid_bound(weights).tolist() == pytest.approx(expected, rel=1e-12)
    assert float(inverse.min()) > 0, "so that the worst signs are all the same"


def test_variation_with_a_border_is_the_sum_over_all_pairs() -> None:
    flow = noise(3, 2, 6, 5)
    assert variation(flow, border=True).tolist() == pytest.approx([total_variation(f) for f in flow], rel=1e-5)


def flows() -> Tensor:
    """Flows of total variation 1: single pixels, rectangles, the whole image, noise and smooth ones; M×2×6×7."""
    found = []
    for top, bottom, left, right in (
        (0, 1, 0, 1),
        (2, 3, 3, 4),
        (1, 4, 1, 6),
        (0, 6, 0, 7),
        (2, 6, 0, 3),
        (5, 6, 2, 7),
    ):
        for direction in ((1.0, 0.0), (-0.6, 0.8)):
            flow = torch.zeros(2, 6, 7, dtype=torch.float64)
            flow[:, top:bottom, left:right] = torch.tensor(direction, dtype=torch.float64)[:, None, None]
            found.append(flow)
    found += [*noise(10, 2, 6, 7), *geometry.solve(noise(10, 2, 6, 7, seed=1))]
    return torch.stack([flow / total_variation(flow) for flow in found])


def test_no_flow_exceeds_a_bound_and_single_pixels_and_squares_reach_them() -> None:
    moved = flows()
    length = moved.square().sum(1).sqrt()
    assert bool((length <= geometry.lambdas(6, 7) + 1e-12).all())
    assert float(length.max()) == pytest.approx(1 / 4, rel=1e-6), "a single pixel"
    assert float(length.square().sum((1, 2)).sqrt().max()) == pytest.approx(1 / 4, rel=1e-6)
    for seed in range(5):
        weights, signed = noise(6, 7, seed=seed).abs(), noise(2, 6, 7, seed=seed + 10)
        worst = float((weights * length).sum((1, 2)).max())
        assert worst <= float(geometry.norm_bound(weights))
        assert worst <= float(geometry.transport_bound(torch.zeros(2, 6, 7, dtype=torch.float64), weights)) + 1e-12
        mixed = ((signed * moved).sum((1, 2, 3)) + (weights * length).sum((1, 2))).max()
        assert float(mixed) <= float(geometry.transport_bound(signed, weights)) + 1e-12
        in_axes = (weights * moved.abs().sum(1)).sum((1, 2)).max()
        assert float(in_axes) <= float(geometry.ellipsoid_bound(weights)) + 1e-12
        assert float(geometry.norm_bound(weights)) < float(geometry.ellipsoid_bound(weights)) / math.sqrt(2)
    square = torch.zeros(6, 7, dtype=torch.float64)
    square[1:4, 2:5] = 1
    assert float(geometry.norm_bound(square)) == pytest.approx(9 / 12), (
        "a square that moves as a whole: its size over its border"
    )


def test_a_transport_that_is_not_exact_is_paid_for() -> None:
    weights = noise(6, 7).abs()
    zero = torch.zeros(2, 6, 7, dtype=torch.float64)
    exact = float(geometry.transport_bound(zero, weights))
    rough = float(geometry.transport_bound(zero.float(), weights.float()))
    assert rough == pytest.approx(exact, rel=1e-5)


def test_a_flow_is_shrunk_to_the_budget_and_a_small_one_stays() -> None:
    moved = flows()[:3] * torch.tensor([1.0, 5.0, 100.0]).view(-1, 1, 1, 1)
    size = variation(moved, border=True)
    shrunk = scaled_to(moved, 5.5, size)
    assert torch.equal(shrunk[:2], moved[:2])
    assert total_variation(shrunk[2]) == pytest.approx(5.5, rel=1e-5)
