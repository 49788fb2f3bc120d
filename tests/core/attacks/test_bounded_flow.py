"""The flow inside a hard bound of its total variation."""

from __future__ import annotations

import torch

from core.attacks import BoundedFlow
from core.warp import variation, warp
from tests.core.attacks.networks import curved, random_images


def test_the_flow_stays_inside_the_bound_and_makes_the_image() -> None:
    model, x = curved(seed=1), random_images(8)
    with torch.no_grad():
        y = model(x).argmax(1)
    results = [BoundedFlow(max_tv=bound, iterations=30)(model, x, y) for bound in (4.0, 30.0, 120.0)]
    for bound, result in zip((4.0, 30.0, 120.0), results, strict=True):
        flow = result.extras["flow"]
        assert bool((variation(flow, border=True) <= bound * (1 + 1e-5)).all())
        assert torch.allclose(warp(x, flow).clamp(0, 1), result.images, atol=1e-6)
    counts = [int(result.success.sum()) for result in results]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_a_bound_of_nothing_moves_nothing() -> None:
    model, x = curved(seed=1), random_images(4)
    with torch.no_grad():
        y = model(x).argmax(1)
    result = BoundedFlow(max_tv=0, iterations=5)(model, x, y)
    assert not bool(result.success.any()) and torch.allclose(result.images, x, atol=1e-6)
