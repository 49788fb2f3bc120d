"""The feature-noise screen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core import images
from core.analysis.feature_noise import SHUFFLED, feature_noise
from core.explain.layers import by_depth, feature_maps, layers
from core.explain.noise import channel_noise
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import settled, tiles, verdict, visit

RECIPE = Recipe(
    domain="mnist", attack=Method(name="pgd", params={"eps": "64/255"}), defenses=((Method(name="median"),),)
)


def curves(app: AppTest) -> dict[str, list[float]]:
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    return {line["name"]: line["y"] for line in spec["data"]}


def decoded(values: object) -> np.ndarray:
    """Plotly writes arrays as base64."""
    import base64

    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values, float)


def test_the_curves_are_the_measured_ones() -> None:
    app = visit("features", RECIPE.to_link())
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    names = [layer.name for layer in by_depth(layers(example.classifier))]
    wanted = feature_noise(RECIPE, example, {"PGD": attacked.adversarial}, names)
    shown = curves(app)
    assert list(shown) == ["PGD", "PGD + Median filter", SHUFFLED]
    for name, values in shown.items():
        assert decoded(values) == pytest.approx(wanted[name], rel=1e-3)
    assert f" {100 * wanted['PGD'][-2]:.0f} % of the last feature maps" in verdict(app)


def test_channels_come_by_their_noise() -> None:
    app = visit("features", RECIPE.to_link())
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    name = by_depth(layers(example.classifier))[-1].name
    both = feature_maps(
        example.classifier, [name], torch.cat([example.images, images.to_tensor(attacked.adversarial)])
    )[name]
    order = torch.argsort(-channel_noise(both[0], both[1]), stable=True)[:6].tolist()
    for label in ("Feature maps, clean", "Feature maps, PGD", "What changed in the feature maps"):
        assert [tile["title"] for tile in tiles(app, label)][1:] == [f"channel {n}" for n in order]
    box = next(box for box in app.selectbox if str(box.key).startswith("features_layer"))
    box.select("features.0")
    settled(app.run())
    assert [tile["title"] for tile in tiles(app, "Feature maps, clean")][1:] != [f"channel {n}" for n in order]


def test_the_attacks_of_compare_are_added_on_request() -> None:
    quick = RECIPE.replace(comparison={"attacks": ("fgsm", "uniform_noise"), "eps": 32 / 255, "steps": 5})
    app = visit("features", quick.to_link())
    app.button(key="features_more").click()
    settled(app.run())
    names = list(curves(app))
    assert "FGSM" in names and "FGSM + Median filter" in names and names[-1] == SHUFFLED and len(names) == 7
