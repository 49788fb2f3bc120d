"""Flows of bounded total variation: the difference operator with a zero border, its inverse, and what it bounds.

A flow moves each pixel by rᵢ = (Δuᵢ, Δvᵢ), in pixels; outside the image it is zero. Its total variation is the sum over pairs of
neighbors of the length of the flow's difference, each pair once, the pairs of a border pixel and the outside included. N takes a
field to its differences over all pairs, so that ‖N u‖² + ‖N v‖² ≤ TV(r)².
"""

from __future__ import annotations

from functools import lru_cache
from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional as F


def differences(field: Tensor) -> tuple[Tensor, Tensor]:
    """N: the differences of a field …×H×W over vertical pairs …×(H+1)×W and horizontal pairs …×H×(W+1), zero outside."""
    return F.pad(field, (0, 0, 1, 1)).diff(dim=-2), F.pad(field, (1, 1)).diff(dim=-1)


def adjoint(vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Nᵀ: from values of the pairs, …×(H+1)×W and …×H×(W+1), to …×H×W."""
    return -vertical.diff(dim=-2) - horizontal.diff(dim=-1)


def solve(field: Tensor) -> Tensor:
    """(NᵀN)⁻¹ of a field …×H×W of floats.

    NᵀN is the five-point Laplacian with a zero border. Sines diagonalize it, so that its inverse is two small matrix products on
    either side, exact up to rounding, for any number of fields at once; no factorization is kept.
    """
    height, width = field.shape[-2:]
    rows, columns = _sines(height).to(field), _sines(width).to(field)
    return rows @ (rows @ field @ columns / _eigenvalues(height, width).to(field)) @ columns


@lru_cache(maxsize=16)
def lambdas(height: int, width: int) -> Tensor:
    """λᵢ with λᵢ² = ((NᵀN)⁻¹)ᵢᵢ, float64 H×W: every flow has ‖rᵢ‖ ≤ λᵢ·TV(r) (LAN, section 4.1; Xu et al. 2018, proposition 2.2).

    Proof. uᵢ = ⟨N(NᵀN)⁻¹eᵢ, N u⟩ ≤ λᵢ‖N u‖ by Cauchy and Schwarz, the same for v, and ‖N u‖² + ‖N v‖² ≤ TV(r)².
    """
    rows, columns = _sines(height).square(), _sines(width).square()
    return (rows @ (1 / _eigenvalues(height, width)) @ columns).sqrt()


def ellipsoid_bound(weights: Tensor) -> Tensor:
    """The most of Σ aᵢ(|Δuᵢ| + |Δvᵢ|) for weights a ≥ 0, …×H×W, over all flows in the ellipsoid ‖N vec(r)‖₂ ≤ 1; shape ….

    √2·√(aᵀ(NᵀN)⁻¹a): (NᵀN)⁻¹ has no negative entry, so that signs do not matter, and the worst u and v are alike.
    """
    return sqrt(2) * (weights * solve(weights)).sum((-2, -1)).clamp(min=0).sqrt()


def transport(field: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest p with Nᵀp = field, N(NᵀN)⁻¹ of it: vertical …×(H+1)×W and horizontal …×H×(W+1)."""
    return differences(solve(field))


def transport_bound(signed: Tensor, unsigned: Tensor) -> Tensor:
    """A bound of Σ gᵢ·rᵢ + Σ hᵢ‖rᵢ‖ over all flows with TV(r) ≤ 1.

    Proof. With Nᵀp = g, Σ gᵢ·rᵢ = Σ over pairs p·(N r). With Nᵀq = h and mᵢ = ‖rᵢ‖, Σ hᵢmᵢ = Σ q·(N m), and |(N m)| ≤ ‖(N r)‖ in every
    pair. Both together are at most TV(r) times the largest ‖p‖ + |q| of a pair. What rounding leaves of g - Nᵀp and h - Nᵀq is added
    with ‖rᵢ‖ ≤ 1/4, which `norm_bound` proves.

    Args:
        signed: g, …×2×H×W. unsigned: h ≥ 0, …×H×W.

    Returns:
        …
    """
    fields = torch.cat([signed, unsigned.unsqueeze(-3)], -3)
    vertical, horizontal = transport(fields)
    rest = (fields - adjoint(vertical, horizontal)).abs().sum((-3, -2, -1)) / 4
    loads = [
        (pairs[..., :2, :, :].square().sum(-3).sqrt() + pairs[..., 2, :, :].abs()).amax((-2, -1))
        for pairs in (vertical, horizontal)
    ]
    return torch.maximum(*loads) + rest


def norm_bound(weights: Tensor) -> Tensor:
    """‖a‖₂ / 4 of weights …×H×W: the most of Σ aᵢ‖rᵢ‖ over all flows with TV(r) ≤ 1 is no larger; shape ….

    In other words √(Σ‖rᵢ‖²) ≤ TV(r) / 4, the Sobolev inequality of the grid. Proof. mᵢ = ‖rᵢ‖ has TV(m) ≤ TV(r), and both sides of
    Σ aᵢmᵢ ≤ c·TV(m) are integrals over t of the sets S = {m > t}: of a(S), and of the number of pairs with one end in S. A set of k
    pixels has at least 4√k such pairs, for it meets r rows and c columns with rc ≥ k, each of which has two, and 2r + 2c ≥ 4√(rc).
    And a(S) ≤ √k·‖a‖₂, by Cauchy and Schwarz.
    """
    return weights.square().sum((-2, -1)).sqrt() / 4


@lru_cache(maxsize=16)
def _sines(size: int) -> Tensor:
    """The orthogonal, symmetric matrix of sines, float64 size×size."""
    number = torch.arange(1, size + 1, dtype=torch.float64)
    return sqrt(2 / (size + 1)) * torch.sin(pi * number[:, None] * number / (size + 1))


@lru_cache(maxsize=16)
def _eigenvalues(height: int, width: int) -> Tensor:
    """Those of NᵀN, all above 0, float64 H×W."""
    rows, columns = (
        2 - 2 * torch.cos(pi * torch.arange(1, size + 1, dtype=torch.float64) / (size + 1)) for size in (height, width)
    )
    return rows[:, None] + columns
