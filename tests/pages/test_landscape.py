"""The screen of the ground around an image."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import images
from core.analysis.landscape import STEPS, decision_regions, loss_surface
from core.explain.landscape import high_share, spectrum
from core.figures.landscape import region_classes
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import settled, tiles, verdict, visit

RECIPE = Recipe(domain="mnist", attack=Method(name="pgd", params={"eps": "64/255"}))


def chart(app: AppTest) -> list[dict[str, object]]:
    data: list[dict[str, object]] = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    return data


def decoded(values: object) -> np.ndarray:
    """Plotly writes arrays as base64."""
    if not isinstance(values, dict):
        return np.array(values, float)
    shape = [int(n) for n in str(values.get("shape", "-1")).split(",")]
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).reshape(shape)


def test_the_loss_surface_turns_and_its_reach_is_set() -> None:
    app = visit("landscape", RECIPE.to_link())
    example = load_example(RECIPE, device="cpu")
    grid = loss_surface(RECIPE, example, 0.5)  # the attack's budget twice, in the steps of the domain's unit
    assert grid is not None
    shown = chart(app)[0]
    assert shown["type"] == "surface" and decoded(shown["z"]) == pytest.approx(grid.loss, rel=1e-2, abs=1e-4)
    assert "Along the gradient the" in verdict(app)
    assert app.slider(key="landscape_reach_mnist").value == pytest.approx(0.5)  # MNIST's budgets are plain numbers
    app.slider(key="landscape_reach_mnist").set_value(0.08)
    settled(app.run())
    assert decoded(chart(app)[0]["x"]).max() == pytest.approx(0.08, rel=1e-4)
    assert decoded(chart(app)[0]["z"]).shape == (STEPS, STEPS)


def test_the_loss_surface_of_color_images_is_in_255ths() -> None:
    app = visit("landscape", Recipe(domain="cifar10", attack=Method(name="fgsm", params={"eps": "8/255"})).to_link())
    assert app.slider(key="landscape_reach_cifar10").value == 16
    assert decoded(chart(app)[0]["x"]).max() == pytest.approx(16, rel=1e-4)


def test_the_decision_regions_go_through_three_images() -> None:
    app = visit("landscape", RECIPE.to_link())
    app.button_group(key="landscape_view").set_value("regions")
    settled(app.run())
    example = load_example(RECIPE, device="cpu")
    found = decision_regions(RECIPE, example, craft(RECIPE, example))
    assert found is not None
    present, places = region_classes(found.grid)
    assert present[0] == example.label and places.shape == found.grid.predicted.shape
    names = [line["name"] for line in chart(app) if line.get("name")]
    assert names == [example.classifier.classes[n] for n in present]
    corners = tiles(app, "The three images that the plane goes through")
    assert [tile["title"] for tile in corners] == ["clean", "adversarial", found.third_title]
    assert f"{len(present)} classes lie on this plane" in verdict(app)


def test_the_spectrum_is_of_the_change() -> None:
    app = visit("landscape", RECIPE.to_link())
    app.button_group(key="landscape_view").set_value("spectrum")
    settled(app.run())
    example = load_example(RECIPE, device="cpu")
    change = (images.to_tensor(craft(RECIPE, example).adversarial) - example.images)[0]
    high = high_share(spectrum(change))
    assert verdict(app).startswith(f"{100 * high:.0f} % of the change lies above")
    rows = app.dataframe[0].value
    assert rows.iloc[1]["above 1/4 cycle a pixel"] == f"{100 * high:.0f} %"
    assert float(rows.iloc[1]["energy"]) == pytest.approx(float(change.square().sum()), rel=1e-3)
    assert len(tiles(app, "Spectra, frequency 0 in the middle, in logarithms")) == 4
