"""Random resize and pad against PyTorch's own resizing, and what chance does and does not change."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from core.defenses import Chain, Median, RandomResizePad


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_nothing_is_shrunk_where_the_smallest_share_is_all() -> None:
    x = torch.rand(4, 3, 20, 24)
    assert torch.allclose(RandomResizePad(min_scale=1)(x), x, atol=1e-6)


def test_what_is_left_is_pytorchs_bilinear_image_on_black() -> None:
    x = torch.rand(1, 3, 40, 30)
    for number in range(10):
        laid = RandomResizePad(min_scale=0.5).sample(x, seeded(number))
        rows, columns = (laid[0].amax(0).amax(1 - axis).nonzero()[:, 0] for axis in (0, 1))
        top, left = int(rows.min()), int(columns.min())
        size = (int(rows.max()) - top + 1, int(columns.max()) - left + 1)
        assert 20 <= size[0] <= 40 and 15 <= size[1] <= 30
        wanted = F.interpolate(x, size, mode="bilinear", align_corners=False)
        assert torch.allclose(laid[:, :, top : top + size[0], left : left + size[1]], wanted, atol=1e-5)
        laid[:, :, top : top + size[0], left : left + size[1]] = 0
        assert not bool(laid.any()), "the rest is black"


def test_every_image_of_a_batch_gets_its_own_draw_and_every_seed_another() -> None:
    x = torch.ones(8, 1, 32, 32)
    defense = RandomResizePad()
    sums = defense.sample(x, seeded(0)).sum((1, 2, 3))
    assert len(set(sums.tolist())) > 4
    assert torch.equal(defense.sample(x, seeded(3)), defense.sample(x, seeded(3)))
    assert not torch.equal(defense.sample(x, seeded(3)), defense.sample(x, seeded(4)))
    assert torch.equal(defense(x), defense(x)) and not torch.equal(defense(x), RandomResizePad(seed=1)(x))


def test_a_chain_is_random_when_a_part_is() -> None:
    assert RandomResizePad().is_randomized() and not Median().is_randomized()
    chain = Chain(members=(Median(), RandomResizePad()))
    assert chain.is_randomized() and not Chain(members=(Median(),)).is_randomized()
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(chain.sample(x, seeded(2)), RandomResizePad().sample(Median()(x), seeded(2)))


def test_the_gradient_flows() -> None:
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: RandomResizePad(min_scale=0.6, seed=3).apply(v), (x,))
