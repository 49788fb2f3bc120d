"""The universal patch: how it is stuck on, and what training it does."""

from __future__ import annotations

from math import pi

import pytest
import torch
from torch import nn

from core import InvalidInput
from core.attacks import Criterion, UniversalPatch
from core.attacks.patch import Placing, stencil, stick
from core.progress import Progress
from core.random_streams import RandomStreams
from tests.core.attacks.networks import classifier, curved, random_images


def placing(count: int, row: float, column: float, **how: float) -> Placing:
    return Placing.at(torch.full((count,), row), torch.full((count,), column), **how)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("side", [4, 5])
def test_right_angles_copy_the_patch_to_the_bit(quarters: int, side: int) -> None:
    x, patch = torch.rand(2, 3, 16, 20), torch.rand(3, side, side)
    middle = (side - 1) / 2
    stuck, cover = stick(x, patch, stencil(side, "square"), placing(2, 3 + middle, 7 + middle, angle=quarters * pi / 2))
    wanted = x.clone()
    wanted[:, :, 3 : 3 + side, 7 : 7 + side] = torch.rot90(patch, quarters, (1, 2))
    assert torch.equal(stuck, wanted)
    assert float(cover.sum()) == 2 * side * side


def test_any_angle_and_size_touches_only_what_it_covers() -> None:
    x, patch = torch.rand(3, 3, 24, 24), torch.rand(3, 9, 9)
    stuck, cover = stick(x, patch, stencil(9, "disc"), placing(3, 11.3, 12.1, angle=0.7, scale=1.4, brightness=0.8))
    outside = (cover == 0).expand_as(x)
    assert torch.equal(stuck[outside], x[outside])
    assert float(cover.sum() / 3) == pytest.approx(float(stencil(9, "disc").sum()) * 1.4**2, rel=0.02)
    inside = (cover == 1).expand_as(x)
    assert bool(inside.any()) and bool((stuck[inside] <= 0.8 + 1e-6).all())


def test_the_disc_is_round_and_symmetric() -> None:
    mask = stencil(21, "disc")
    assert torch.equal(mask, mask.flip(1)) and torch.equal(mask, mask.transpose(1, 2))
    assert float(mask.sum()) == pytest.approx(pi * 10.5**2, rel=0.03)


def test_the_gradient_reaches_the_patch_through_any_placing() -> None:
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    patch = (torch.rand(1, 4, 4, dtype=torch.float64) * 0.5 + 0.2).requires_grad_(True)
    how = placing(2, 3.2, 4.1, angle=0.3, scale=1.1, brightness=1.05)
    how = Placing(*(v.double() for v in (how.row, how.column, how.angle, how.scale, how.brightness)))
    mask = stencil(4, "square").double()
    assert torch.autograd.gradcheck(lambda p: stick(x, p, mask, how)[0], (patch,))


def test_its_size_is_the_share_of_the_image() -> None:
    for shape in ("disc", "square"):
        side = UniversalPatch(area=0.1, shape=shape).side(160, 160)  # type: ignore[arg-type]
        assert float(stencil(side, shape).sum()) / 160**2 == pytest.approx(0.1, rel=0.03)  # type: ignore[arg-type]


def test_every_placing_in_training_lies_inside() -> None:
    attack = UniversalPatch(area=0.1)
    side = attack.side(64, 48)
    how = attack.placings(side, 64, 48, RandomStreams.numbered(500, torch.Generator().manual_seed(0)))
    reach = side * how.scale / 2
    assert bool((how.row - reach >= -0.51).all()) and bool((how.row + reach <= 63.51).all())
    assert bool((how.column - reach >= -0.51).all()) and bool((how.column + reach <= 47.51).all())
    assert float(how.angle.abs().max()) <= attack.max_rotation * pi / 180


def test_one_patch_moves_every_image_toward_the_target() -> None:
    torch.manual_seed(4)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    model, x = classifier(network, 4), random_images(8)
    with torch.no_grad():
        before = model(x).log_softmax(1)
    y = before.argmax(1)
    target = next(c for c in range(4) if c not in y.tolist() or c == 3)
    chosen = y != target
    x, y, before = x[chosen], y[chosen], before[chosen]
    goal = Criterion(torch.full_like(y, target))
    attack = UniversalPatch(area=0.3, iterations=60, batch=16, shape="square")
    result = attack(model, x, y, goal, torch.Generator().manual_seed(6))
    patch, mask = result.extras["patch"], result.mask
    assert mask is not None and patch.shape == (3, attack.side(8, 8), attack.side(8, 8))
    assert torch.equal(result.images[~mask.expand_as(x)], x[~mask.expand_as(x)])
    with torch.no_grad():
        after = model(result.images).log_softmax(1)
    assert float((after - before)[:, target].mean()) > 0.3
    # The same print on images that it never saw.
    fresh = random_images(8, seed=99)
    how = attack.final(patch.shape[-1], 8, 8, RandomStreams.of(fresh, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        gained = model(stick(fresh, patch, result.extras["stencil"], how)[0]).log_softmax(1) - model(fresh).log_softmax(
            1
        )
    assert float(gained[:, target].mean()) > 0.2


def test_a_given_place_is_kept() -> None:
    model, x = curved(), random_images(2)
    with torch.no_grad():
        y = model(x).argmax(1)
    result = UniversalPatch(area=0.25, shape="square", iterations=1, batch=2, place="given", row=1, column=0)(
        model, x, y
    )
    assert result.mask is not None
    assert bool(result.mask[:, :, 4:, :4].all()) and int(result.mask.sum()) == 2 * 16


def test_nonsense_is_refused_in_a_sentence() -> None:
    model, x = curved(), random_images(3)
    with torch.no_grad():
        y = model(x).argmax(1)
    with pytest.raises(InvalidInput, match="one target for all"):
        UniversalPatch(iterations=1)(model, x, y, Criterion((y + torch.tensor([1, 2, 3])) % 4))
    with pytest.raises(InvalidInput, match="does not fit an image of 20×4"):
        UniversalPatch(area=0.5).side(4, 20)


def test_training_reports_every_step_and_can_be_stopped_there() -> None:
    """All images are judged seldom, but every step is reported."""
    x = random_images(24)
    target = 2
    y = torch.zeros(24, dtype=torch.int64)
    seen = []

    def on_progress(progress: Progress) -> bool:
        assert progress.step is not None
        seen.append(progress.step)
        return progress.done == 8

    result = UniversalPatch(area=0.2, iterations=30, batch=2)(
        curved(), x, y, Criterion(torch.full_like(y, target)), on_progress=on_progress
    )
    assert result.stopped and result.iterations == 8 and [step.number for step in seen] == list(range(9))
    assert len({id(step.logits) for step in seen}) == 2  # judged at 0 and at 6 = 24 // 4
    assert torch.equal(result.extras["patch"], seen[6].extras["patch"])
