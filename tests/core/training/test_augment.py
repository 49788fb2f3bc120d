"""Random views: of the right shape and range, each image by its own numbers, the same by the same seed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 40, side: int = 12) -> Tensor:
    return torch.rand(count, 3, side, side, generator=generator(9))


def test_no_shift_and_no_flip_is_the_image() -> None:
    assert torch.equal(augment.shifted(random_images(), generator(), 0, flip=False), random_images())


def test_a_shift_is_a_part_of_the_mirrored_image_each_its_own() -> None:
    x = random_images()
    views = augment.shifted(x, generator(), 2, flip=False)
    padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
    found = set()
    for view, whole in zip(views, padded, strict=True):
        places = [(i, j) for i in range(5) for j in range(5) if torch.equal(view, whole[:, i : i + 12, j : j + 12])]
        assert len(places) == 1
        found.update(places)
    assert len(found) > 10, "not all images move together"


def test_half_of_the_images_are_flipped() -> None:
    x = random_images(400)
    views = augment.shifted(x, generator(), 0)
    flipped = (views == x.flip(3)).flatten(1).all(1)
    assert bool((flipped | (views == x).flatten(1).all(1)).all())
    assert 160 <= int(flipped.sum()) <= 240


def test_crops_have_the_size_asked_for_and_stay_in_range() -> None:
    views = augment.cropped(random_images(), generator(), 7, min_scale=0.2, max_rotation=0.2, color_jitter=0.4)
    assert views.shape == (40, 3, 7, 7)
    assert 0 <= float(views.min()) < float(views.max()) <= 1
    assert torch.equal(
        views, augment.cropped(random_images(), generator(), 7, min_scale=0.2, max_rotation=0.2, color_jitter=0.4)
    )
    assert not torch.equal(
        views, augment.cropped(random_images(), generator(1), 7, min_scale=0.2, max_rotation=0.2, color_jitter=0.4)
    )


def test_a_crop_keeps_at_least_the_share_of_the_area_that_was_asked() -> None:
    side = 64
    ramp = torch.linspace(0, 1, side).expand(60, 3, side, side)  # brightness tells the column
    tall = ramp.transpose(2, 3)
    across, down = (
        augment.cropped(x, generator(), 32, min_scale=0.5).amax((1, 2, 3))
        - augment.cropped(x, generator(), 32, min_scale=0.5).amin((1, 2, 3))
        for x in (ramp, tall)
    )
    assert (
        float((across * down).min()) > 0.5 * 0.85
    )  # the last half pixel at each side is not seen, the ratio is clamped
    assert float((across * down).min()) < 0.75


def test_without_color_a_flat_image_stays_as_it_is() -> None:
    flat = torch.full((5, 3, 12, 12), 0.3)
    torch.testing.assert_close(
        augment.cropped(flat, generator(), 8, min_scale=0.1, max_rotation=0.3), torch.full((5, 3, 8, 8), 0.3)
    )
    assert float(augment.cropped(flat, generator(), 8, min_scale=0.1, color_jitter=0.5).std()) > 0.01
