"""What flows of bounded total variation make of an image: sets that contain every change x̂ - x, each with its support function.

A set answers how large |w·(x̂ - x)| can be, for rows w that all images share and for rows of each image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from core.certify.flow_geometry import lambdas, norm_bound, transport_bound
from core.certify.pixel_change import Slopes, slopes, value_range

REACH = (
    1 / 4
)  # pixels a unit of total variation: from any pixel, its row and its column are four ways out that share no pair
TINY = 1e-12  # keeps a root differentiable where a hidden unit sees a flat part of the image alone
SMALL = 1.0  # pixels: what a flow moves beyond is bounded apart, because few pixels can move that far


class ChangeSet(ABC):
    """All x̂ - x of N images of D pixels under flows of total variation at most ε, or more."""

    @abstractmethod
    def of_shared(self, rows: Tensor) -> Tensor:
        """The most of |w·(x̂ - x)| for h×D rows that all images share, N×h."""

    @abstractmethod
    def of_own(self, rows: Tensor) -> Tensor:
        """The same for rows of each image, N×K×D; N×K."""


class PixelBox(ChangeSet):
    """|x̂ᵢ - xᵢ| ≤ bᵢ.

    Args:
        box: b ≥ 0, N×D.
    """

    def __init__(self, box: Tensor) -> None:
        self.box = box

    def of_shared(self, rows: Tensor) -> Tensor:
        return self.box @ rows.abs().T

    def of_own(self, rows: Tensor) -> Tensor:
        return (rows.abs() * self.box[:, None]).sum(2)


def paper_box(images: Tensor, eps: Tensor) -> PixelBox:
    """bᵢ = min(1, √2·ε·λᵢ), the same for every image: bilinear sampling makes at most |Δuᵢ| + |Δvᵢ| of a pixel in [0, 1].

    |Δuᵢ| + |Δvᵢ| ≤ √2·‖rᵢ‖, and ‖rᵢ‖ ≤ ε·λᵢ (`lambdas`). For images N×1×H×W and ε of N.
    """
    bound = sqrt(2) * lambdas(*images.shape[2:]).to(images).flatten()
    return PixelBox((eps[:, None] * bound).clamp(max=1))


def local_box(images: Tensor, eps: Tensor) -> PixelBox:
    """The largest change of each pixel from the pixels around it, for images N×1×H×W and ε of N.

    Proof. Four ways lead from pixel i out of the image, two along its row and two along its column; they share no pair, and along each
    the flow falls from rᵢ to 0. So 4‖rᵢ‖ ≤ TV(r) ≤ ε. Within that reach the value lies in the range of the pixels there, and the
    change is at most the steepest slope times ε/4.
    """
    flat = images[:, 0]
    low, high = _by_reach(flat, eps * REACH, lambda part, reach: torch.stack(value_range(part, reach), 1)).unbind(1)
    steepest = _by_reach(flat, eps * REACH, lambda part, reach: slopes(part, reach).steepest)
    change = torch.minimum(torch.maximum(high - flat, flat - low), steepest * (eps * REACH)[:, None, None])
    return PixelBox(change.flatten(1))


class NearSet(ChangeSet):
    """Flows that move no pixel by more than 1: all pixels together, by `norm_bound` and the steepest slopes next to each pixel.

    What is trained: it is the joint set without what moves further, and for ε ≤ 4 nothing does.

    Args:
        images: N×1×H×W in [0, 1]. eps: N.
    """

    def __init__(self, images: Tensor, eps: Tensor) -> None:
        self.eps = eps
        self.squared = slopes(images[:, 0], SMALL).steepest.flatten(1).square()

    def of_shared(self, rows: Tensor) -> Tensor:
        return self._bound(self.squared @ rows.square().T)

    def of_own(self, rows: Tensor) -> Tensor:
        return self._bound((rows.square() @ self.squared[:, :, None])[:, :, 0])

    def _bound(self, squares: Tensor) -> Tensor:
        return self.eps[:, None] * REACH * (squares + TINY).sqrt()


class JointSet(ChangeSet):
    """All pixels together: few can move far, and no more than a quarter of ε in the Euclidean length of all movements.

    Proof. Cut each movement at 1 pixel: r̃ᵢ has the direction of rᵢ and the length min(mᵢ, 1), mᵢ = ‖rᵢ‖; eᵢ = max(mᵢ - 1, 0) is left.
    Then w·(x̂ - x) ≤ D₁·TV(r̃) + D₂·TV(e). D₁ bounds the change by r̃, with the slopes of the cells next to each pixel: `norm_bound`, or
    `transport_bound`. D₂ bounds the change by e, with the steepest slopes within ε/4. In each pair of neighbors
    ‖rᵢ - rⱼ‖² ≥ ‖r̃ᵢ - r̃ⱼ‖² + (eᵢ - eⱼ)²: where both are longer than 1, the left side is (mᵢ - mⱼ)² + 2mᵢmⱼ(1 - cos θ), and where
    one is, rᵢ - r̃ᵢ points away from the unit disk. So the change is at most √(D₁² + D₂²)·TV(r), by Cauchy and Schwarz in each pair. In
    D₂ only the sets {m > t} with t ≥ 1 count. Such a set has k pixels with 4√k ≤ ε, because the sets {m > s} with s ≤ 1 contain it and
    have 4√k pairs or more. Hence also D₂ ≤ max |wᵢ| · max slope · √k / 4.

    Args:
        images: N×1×H×W in [0, 1]. eps: N.
    """

    def __init__(self, images: Tensor, eps: Tensor) -> None:
        flat, reach = images[:, 0], eps * REACH
        self.eps, self.side = eps, flat.shape[1:]
        self.near: Slopes = slopes(flat, SMALL)
        self.steep = self.near.steepest.flatten(1)
        far = _by_reach(flat, reach, lambda part, length: slopes(part, length).steepest).flatten(1)
        self.far = far * (reach > SMALL).to(far)[:, None]
        self.count = (reach / SMALL).square().floor()  # k of the proof

    def of_shared(self, rows: Tensor) -> Tensor:
        squared = rows.square().T
        near = self.steep.square() @ squared
        few = self.count[:, None] * (self.far.amax(1)[:, None] * rows.abs().amax(1)).square()
        far = torch.minimum(self.far.square() @ squared, few)
        return self.eps[:, None] * REACH * (near + far).sqrt()

    def of_own(self, rows: Tensor) -> Tensor:
        weights = self._as_fields(rows)
        near = norm_bound(weights * self._as_fields(self.steep)[:, None])
        signed = weights[:, :, None] * self.near.middle[:, None]
        near = torch.minimum(near, transport_bound(signed, weights.abs() * self.near.rest[:, None]))
        moved = rows.abs() * self.far[:, None]
        few = self.count[:, None].sqrt() * moved.amax(2) * REACH
        far = torch.minimum(norm_bound(self._as_fields(moved)), few)
        return self.eps[:, None] * (near.square() + far.square()).sqrt()

    def _as_fields(self, rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:-1], *self.side)


def _by_reach(flat: Tensor, reach: Tensor, measure: Callable[[Tensor, float], Tensor]) -> Tensor:
    """What `measure` says of images N×H×W, those together whose reach N takes in as many cells."""
    cells = reach.ceil().clamp(1, max(flat.shape[1:]))
    measured = None
    for number in set(cells.tolist()):
        chosen = cells == number
        part = measure(flat[chosen], number)
        measured = part.new_zeros(len(flat), *part.shape[1:]) if measured is None else measured
        measured[chosen] = part
    assert measured is not None
    return measured
