"""LaVAN: nothing outside the mask, the right size at the right place, and the known optimum of a linear classifier."""

from __future__ import annotations

import pytest
import torch

from core import InvalidInput, attacks
from core.attacks import Criterion, LaVAN
from core.random_streams import RandomStreams
from tests.core.attacks.networks import curved, linear, random_images


def test_no_pixel_outside_the_mask_changes() -> None:
    model, x = curved(), random_images(12)
    y = model(x).argmax(1)
    result = LaVAN(area=0.1, steps=20)(model, x, y)
    assert result.mask is not None
    outside = ~result.mask.expand_as(x)
    assert torch.equal(result.images[outside], x[outside])
    assert not torch.equal(result.images, x)
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1


@pytest.mark.parametrize("area", [0.02, 0.09, 0.25])
def test_the_patch_has_its_area_and_touches_the_border(area: float) -> None:
    place = LaVAN(area=area).place_on(60, 40, RandomStreams.numbered(200, torch.Generator()))
    mask = place.mask(60, 40)
    side = round((area * 2400) ** 0.5)
    assert bool((mask.flatten(1).sum(1) == side**2).all())
    border = torch.zeros(60, 40, dtype=torch.bool)
    border[0], border[-1], border[:, 0], border[:, -1] = True, True, True, True
    assert bool((mask[:, 0] & border).flatten(1).any(1).all())
    assert len({(int(t), int(c)) for t, c in zip(place.top, place.left, strict=True)}) > 20


def test_a_given_place_is_kept() -> None:
    place = LaVAN(area=0.25, place="given", row=1, column=0).place_on(8, 8, RandomStreams.common(3, 0))
    assert place.side == 4 and place.top.tolist() == [4, 4, 4] and place.left.tolist() == [0, 0, 0]


def test_a_linear_classifier_gets_the_best_patch_there_is() -> None:
    model, x = linear(), random_images()
    y = model(x).argmax(1)
    targets = (y + 1) % 3
    attack = LaVAN(area=0.25, steps=300, confidence=1.0, step_size=0.1)
    result = attack(model, x, y, Criterion(targets))
    assert result.mask is not None
    weights = model.network[1].weight.view(3, 3, 8, 8)
    best = torch.where(result.mask, ((weights[targets] - weights[y]) > 0).float(), x)
    assert torch.allclose(result.images, best, atol=1e-4)


def test_targets_are_random_other_classes() -> None:
    model, x = curved(), random_images(64)
    y = model(x).argmax(1)
    result = LaVAN(steps=1)(model, x, y)
    assert result.targets is not None
    assert not bool((result.targets == y).any())
    assert len(set(result.targets.tolist())) == 4


def test_it_stops_where_the_target_is_sure() -> None:
    model, x = linear(), random_images(4)
    y = model(x).argmax(1)
    targets = (y + 1) % 3
    patient = LaVAN(area=0.5, steps=200, confidence=1.0)(model, x, y, Criterion(targets))
    sure = LaVAN(area=0.5, steps=200, confidence=0.5)(model, x, y, Criterion(targets))
    assert bool(sure.success.all())
    assert sure.iterations < patient.iterations == 200
    reached = sure.logits.softmax(1).gather(1, targets[:, None])
    assert float(reached.min()) > 0.48 and float(reached.max()) < 0.9


def test_a_patch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        LaVAN(area=0.5).place_on(4, 40, RandomStreams.common(1, 0))
    with pytest.raises(InvalidInput, match="at most"):
        attacks.LaVAN(area=0.9)
