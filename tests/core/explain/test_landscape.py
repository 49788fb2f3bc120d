"""The ground around an image: every point of it is what the classifier says there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core import InvalidInput, domains, images
from core.analysis.landscape import STEPS, decision_regions, loss_surface
from core.explain.landscape import directions, high_share, plane, radial, spectrum, steps_around, surface
from core.recipe import Method, Recipe, craft, load_example

RECIPE = Recipe(domain="mnist", attack=Method(name="pgd", params={"eps": "76/255"}))


def test_the_surface_in_the_middle_is_the_loss_and_every_point_is_looked_up() -> None:
    example = load_example(RECIPE, device="cpu")
    grid = loss_surface(RECIPE, example, 0.2)
    assert grid is not None and grid.loss.shape == (STEPS, STEPS)
    with torch.no_grad():
        wanted = float(F.cross_entropy(example.classifier(example.images), example.labels))
    assert grid.loss[STEPS // 2, STEPS // 2] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    uphill, random = directions(
        example.classifier, example.images, example.label, torch.Generator().manual_seed(RECIPE.seed)
    )
    for row, column in ((0, 0), (3, 40), (17, 5)):
        point = example.images + float(grid.across[column]) * uphill + float(grid.down[row]) * random
        with torch.no_grad():
            logits = example.classifier(point.clamp(0, 1))
        assert grid.loss[row, column] == pytest.approx(
            float(F.cross_entropy(logits, example.labels)), rel=1e-3, abs=1e-5
        )
        assert grid.predicted[row, column] == int(logits.argmax())
        assert grid.confidence[row, column] == pytest.approx(float(logits.softmax(1).max()), rel=1e-4)


def test_the_first_direction_is_the_gradients_sign() -> None:
    example = load_example(RECIPE, device="cpu")
    uphill, random = directions(example.classifier, example.images, example.label, torch.Generator().manual_seed(0))
    x = example.images.clone().requires_grad_(True)
    F.cross_entropy(example.classifier(x), example.labels).backward()
    assert x.grad is not None and torch.equal(uphill, x.grad.sign())
    assert set(random.unique().tolist()) == {-1.0, 1.0} and abs(float(random.mean())) < 0.1
    assert all(p.grad is None for p in example.classifier.parameters())


def test_a_plane_holds_its_three_images() -> None:
    chance = torch.Generator().manual_seed(0)
    three = [torch.rand((1, 3, 8, 8), generator=chance) for _ in range(3)]
    found = plane(*three)
    assert float(found.first.norm()) == pytest.approx(1) and float(found.second.norm()) == pytest.approx(1)
    assert float((found.first * found.second).sum()) == pytest.approx(0, abs=1e-5)
    for image, (across, down) in zip(three, found.places, strict=True):
        assert torch.allclose(three[0] + across * found.first + down * found.second, image, atol=1e-5)
    with pytest.raises(InvalidInput, match="changed nothing"):
        plane(three[0], three[0], three[1])
    with pytest.raises(InvalidInput, match="on the line"):
        plane(three[0], three[1], three[0] + 2 * (three[1] - three[0]))


def test_the_regions_at_the_three_images_are_what_is_seen_in_them() -> None:
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    assert attacked.success
    found = decision_regions(RECIPE, example, attacked)
    assert found is not None and found.third_title == example.classifier.classes[attacked.prediction.label]
    for image, (across, down) in zip(
        (example.clean, attacked.adversarial, found.third), found.plane.places, strict=True
    ):
        exact = surface(
            example.classifier,
            example.images,
            example.label,
            found.plane.first,
            found.plane.second,
            np.array([across], np.float32),
            np.array([down], np.float32),
        )
        assert exact is not None
        with torch.no_grad():
            assert exact.predicted[0, 0] == int(example.classifier(images.to_tensor(image)).argmax())
        assert found.grid.across[0] < across < found.grid.across[-1]
        assert found.grid.down[0] < down < found.grid.down[-1]


def test_where_no_image_of_the_class_is_there_a_random_change_stands_in() -> None:
    recipe = RECIPE.replace(attack={"name": "uniform_noise", "params": {"eps": "1/255"}})
    example = load_example(recipe, device="cpu")
    attacked = craft(recipe, example)
    assert not attacked.success
    found = decision_regions(recipe, example, attacked)
    assert found is not None and found.third_title == "a random change"


def test_stopping_gives_nothing() -> None:
    example = load_example(RECIPE, device="cpu")
    seen = []
    assert loss_surface(RECIPE, example, 0.1, on_progress=lambda p: seen.append(p.done) or p.done > 100) is None  # type: ignore[func-returns-value]
    assert seen[0] == 0 and seen[-1] > 100


def test_the_spectrum_keeps_the_energy() -> None:
    change = torch.rand((3, 20, 30), generator=torch.Generator().manual_seed(0)) - 0.5
    power = spectrum(change)
    assert power.mean() == pytest.approx(float(change.square().sum() / 3), rel=1e-5), "Parseval"
    constant = spectrum(torch.ones(1, 8, 8))
    assert constant[4, 4] == pytest.approx(64**2) and constant.sum() == pytest.approx(64**2)


def test_a_wave_has_one_frequency() -> None:
    columns = torch.arange(32).float()
    for cycles, share in ((2, 0.0), (12, 1.0)):
        wave = torch.cos(2 * np.pi * cycles * columns / 32).expand(1, 32, 32)
        power = spectrum(wave)
        frequencies, powers = radial(power)
        assert frequencies[powers.argmax()] == pytest.approx(cycles / 32)
        assert high_share(power) == pytest.approx(share, abs=1e-6)
    assert high_share(spectrum(torch.zeros(1, 8, 8))) is None, "a share of nothing"


def test_steps_leave_room_at_both_ends() -> None:
    steps = steps_around((0.0, 4.0, 1.0), 5)
    assert steps[0] == -1 and steps[-1] == 5 and len(steps) == 5


@pytest.mark.parametrize("name", ["photos", "mnist"])
def test_the_image_itself_is_cut_to_what_a_classifier_sees(name: str) -> None:
    domain = domains.get(name)
    classifier = domain.classifier(device="cpu")
    x = torch.ones(1, classifier.channels, classifier.size, classifier.size)
    grid = surface(
        classifier,
        x,
        0,
        torch.ones_like(x),
        torch.ones_like(x),
        np.array([0, 0.5], np.float32),
        np.zeros(1, np.float32),
    )
    assert grid is not None and grid.loss[0, 0] == pytest.approx(grid.loss[0, 1], rel=1e-4)
