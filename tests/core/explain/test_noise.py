"""Feature maps and their noise."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core import domains, images
from core.analysis.feature_noise import SHUFFLED, feature_noise, shuffled
from core.defenses import JPEG, Median
from core.explain.layers import by_depth, feature_maps, layers
from core.explain.noise import channel_noise, noise_by_depth, relative_noise
from core.recipe import Method, Recipe, craft, load_example


def test_feature_maps_are_what_the_network_computes() -> None:
    classifier = domains.get("photos").classifier(device="cpu")
    x = torch.rand(2, 3, 160, 160)
    network = classifier.network
    with torch.no_grad():
        last = x.contiguous(memory_format=torch.channels_last)  # as the classifier lays out what needs no gradient
        stem = network.stem((last - classifier.mean) / classifier.std)
        first = network.stages[0](stem)
    found = feature_maps(classifier, ["stem", "stages.0"], x)
    assert torch.allclose(found["stem"], stem) and torch.allclose(found["stages.0"], first)
    assert not any(module._forward_hooks for module in classifier.modules())


def test_layers_are_in_the_order_of_work_and_shortcuts_are_not_a_depth() -> None:
    classifier = domains.get("photos").classifier(device="cpu")
    found = layers(classifier)
    names = [layer.name for layer in found]
    assert names.index("stem.0") < names.index("stages.0.0.conv1") < names.index("stages.3")
    assert classifier.cam_layer in names
    deep = [layer.name for layer in by_depth(found)]
    assert deep[0] == "stem.0" and deep[-1] == "stages.3.0.conv2" and not any("shortcut" in name for name in deep)


def test_noise_is_the_change_as_a_share() -> None:
    chance = torch.Generator().manual_seed(0)
    clean, other = torch.rand((3, 4, 4), generator=chance), torch.rand((3, 4, 4), generator=chance)
    wanted = [float(((other[c] - clean[c]) ** 2).sum() / ((clean**2).sum() / 3)) for c in range(3)]
    assert channel_noise(clean, other).tolist() == pytest.approx(wanted)
    assert relative_noise(clean, other) == pytest.approx(
        float(F.mse_loss(other, clean, reduction="sum").sqrt() / clean.norm())
    )
    assert relative_noise(clean, clean) == 0


def test_a_share_of_nothing_is_not_a_number() -> None:
    nothing = torch.zeros(2, 3, 3)
    for other in (torch.ones(2, 3, 3), nothing):
        assert isnan(relative_noise(nothing, other)) and torch.isnan(channel_noise(nothing, other)).all()
    half = torch.stack([torch.zeros(3, 3), torch.ones(3, 3)])
    assert channel_noise(half, torch.ones(2, 3, 3)).tolist() == [2.0, 0.0], "a silent channel in a layer that is not"


def test_a_black_image_has_no_relative_noise_of_its_own() -> None:
    classifier = domains.get("photos").classifier(device="cpu")
    black = torch.zeros(1, 3, 160, 160)
    found = noise_by_depth(classifier, ["stem"], black, {"other": black + 0.1})["other"]
    assert isnan(found[0]) and found[1] > 0 and found[2] > 0


def test_by_depth_goes_from_the_image_to_the_logits() -> None:
    classifier = domains.get("photos").classifier(device="cpu")
    x = torch.rand(1, 3, 160, 160)
    other = (x + 0.02).clamp(0, 1)
    found = noise_by_depth(classifier, ["stem", "stages.3"], x, {"same": x, "other": other})
    assert found["same"] == [0, 0, 0, 0]
    assert found["other"][0] == pytest.approx(relative_noise(x, other))
    with torch.no_grad():
        assert found["other"][-1] == pytest.approx(relative_noise(classifier(x), classifier(other)), rel=1e-3)


def test_an_attack_grows_and_the_same_change_shuffled_does_not() -> None:
    recipe = Recipe(attack=Method(name="pgd"), defenses=((Method(name="jpeg"),), (Method(name="median"),)))
    example = load_example(recipe, device="cpu")
    attacked = craft(recipe, example)
    names = [layer.name for layer in by_depth(layers(example.classifier))]
    found = feature_noise(recipe, example, {"PGD": attacked.adversarial}, names)
    assert list(found) == ["PGD", "PGD + JPEG", "PGD + Median filter", SHUFFLED]
    assert found["PGD"][0] == pytest.approx(found[SHUFFLED][0], rel=0.02)
    assert found["PGD"][-2] > 2 * found[SHUFFLED][-2]
    with torch.no_grad():
        for name, defense in (("PGD + JPEG", JPEG()), ("PGD + Median filter", Median())):
            behind = images.to_pixels(defense(images.to_tensor(attacked.adversarial)))[0]
            assert found[name][0] == pytest.approx(relative_noise(example.images, images.to_tensor(behind)), rel=1e-4)


def test_shuffling_keeps_the_values_of_the_change() -> None:
    clean = np.full((5, 4, 3), 100, np.uint8)
    other = clean + np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    moved = shuffled(clean, other, 0)
    assert not np.array_equal(moved, other)
    assert sorted(map(tuple, moved.reshape(-1, 3))) == sorted(map(tuple, other.reshape(-1, 3))), "pixels stay whole"
    assert np.array_equal(moved, shuffled(clean, other, 0)) and not np.array_equal(moved, shuffled(clean, other, 1))
