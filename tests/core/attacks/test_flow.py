"""Sampling between pixels, the flow's roughness, and stAdv."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks import StAdv
from core.warp import bilinear, variation, warp
from tests.core.attacks.networks import curved, random_images


def rough(flow: Tensor) -> float:
    """Total variation by a loop over neighbors."""
    total = 0.0
    _, height, width = flow.shape
    for r in range(height):
        for c in range(width):
            if r + 1 < height:
                total += float((flow[:, r + 1, c] - flow[:, r, c]).norm())
            if c + 1 < width:
                total += float((flow[:, r, c + 1] - flow[:, r, c]).norm())
    return total


def test_no_flow_is_the_identity_to_the_bit() -> None:
    x = torch.rand(3, 3, 9, 7)
    assert torch.equal(warp(x, torch.zeros(3, 2, 9, 7)), x)


def test_whole_pixels_shift_exactly() -> None:
    x = torch.rand(2, 3, 9, 7)
    flow = torch.zeros(2, 2, 9, 7)
    flow[:, 0], flow[:, 1] = 2, -1
    moved = warp(x, flow)
    assert torch.equal(moved[:, :, :7, 1:], x[:, :, 2:, :6])
    assert torch.equal(moved[:, :, 8, 1:], x[:, :, 8, :6]), "beyond the border lies the border's value"


def test_warp_is_torch_grid_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 9, 7, generator=generator, dtype=torch.float64)
    flow = 3 * torch.randn(2, 2, 9, 7, generator=generator, dtype=torch.float64)
    rows = torch.arange(9.0, dtype=torch.float64).view(1, 9, 1) + flow[:, 0]
    columns = torch.arange(7.0, dtype=torch.float64).view(1, 1, 7) + flow[:, 1]
    grid = torch.stack([2 * columns / 6 - 1, 2 * rows / 8 - 1], 3)
    theirs = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)
    assert torch.allclose(warp(x, flow), theirs, atol=1e-12)


def test_beyond_the_border_lies_what_is_asked() -> None:
    x = torch.ones(1, 1, 4, 4)
    at = torch.tensor([[[-1.0, 1.5, 3.5, 5.0]]])
    assert bilinear(x, at, at, outside=0.0).flatten().tolist() == [0.0, 1.0, 0.25, 0.0]


def test_gradients_are_the_true_ones() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    flow = (torch.rand(1, 2, 4, 5, generator=generator, dtype=torch.float64) * 0.8 + 0.1).requires_grad_(True)
    assert torch.autograd.gradcheck(warp, (x, flow))
    assert torch.autograd.gradcheck(variation, (flow,))


def test_variation_is_the_sum_over_neighbours() -> None:
    flow = torch.randn(3, 2, 6, 5)
    assert torch.allclose(variation(flow), torch.tensor([rough(f) for f in flow]), rtol=1e-4)
    assert float(variation(torch.full((1, 2, 6, 5), 3.0))) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("form", ["weighted", "bounded", "penalized"])
def test_what_comes_back_is_the_image_moved_by_the_flow(form: str) -> None:
    model, x = curved(seed=1), random_images(8)
    with torch.no_grad():
        y = model(x).argmax(1)
    result = StAdv(constraint=form, iterations=40, binary_search_steps=2, max_tv=40)(model, x, y)  # type: ignore[arg-type]
    assert bool(result.success.any())
    flow = result.extras["flow"]
    assert torch.allclose(warp(x, flow).clamp(0, 1), result.images, atol=1e-6)
    assert bool((flow[result.success].abs().amax((1, 2, 3)) > 1e-3).all()), "an unmoved image is no success"
    assert torch.equal(flow[~result.success], torch.zeros_like(flow[~result.success]))
    assert bool((result.images[result.success].mean((1, 2, 3)) > 0.1).all()), "black is no success"
    if form == "bounded":
        assert bool((variation(flow) <= 40 * (1 + 1e-4)).all())


def test_a_penalty_bounds_nothing_and_lowers_what_exceeds_it() -> None:
    model, x = curved(seed=1), random_images(8)
    with torch.no_grad():
        y = model(x).argmax(1)
    search = {"iterations": 40, "binary_search_steps": 3, "max_tv": 4.0}
    hard = StAdv(constraint="bounded", **search)(model, x, y)  # type: ignore[arg-type]
    soft = StAdv(constraint="penalized", **search)(model, x, y)  # type: ignore[arg-type]
    assert bool((soft.success >= hard.success).all()) and int(soft.success.sum()) > int(hard.success.sum())
    free = StAdv(constraint="penalized", tau=0.0, iterations=40, binary_search_steps=1)(model, x, y)
    both = soft.success & free.success
    assert bool((variation(soft.extras["flow"])[both] > 4).any())
    assert float(variation(soft.extras["flow"])[both].mean()) < float(variation(free.extras["flow"])[both].mean())


def test_a_bound_of_nothing_moves_nothing() -> None:
    model, x = curved(seed=1), random_images(4)
    with torch.no_grad():
        y = model(x).argmax(1)
    result = StAdv(constraint="bounded", max_tv=0, iterations=10)(model, x, y)
    assert not bool(result.success.any()) and torch.allclose(result.images, x, atol=1e-6)


def test_more_searching_is_never_rougher() -> None:
    model, x = curved(seed=1), random_images(6)
    with torch.no_grad():
        y = model(x).argmax(1)
    two, six = (StAdv(iterations=40, binary_search_steps=n)(model, x, y) for n in (2, 6))
    both = two.success & six.success
    assert bool((six.success | ~two.success).all()) and bool(both.any())
    smooth = variation(six.extras["flow"])[both], variation(two.extras["flow"])[both]
    assert bool((smooth[0] <= smooth[1] + 1e-4).all()) and float(smooth[0].mean()) < float(smooth[1].mean())
