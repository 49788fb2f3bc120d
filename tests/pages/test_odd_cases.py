"""Screens in odd cases: an attack that was stopped, nothing changed, nothing to share, no defense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.runtime import recipe_jobs
from app.sections import attacker
from app.state import uploads
from core import Recipe, images
from core.recipe import AttackOutcome, Example, ImageRef, Method
from core.recipe import craft as real_craft
from tests.pages.test_unlabeled import everything
from tests.pages.visits import settled, tiles, verdict, visit

DIGIT = Recipe(domain="mnist", attack=Method(name="fgsm"), defenses=())
DEFENDED = DIGIT.replace(defenses=[[{"name": "bitdepth"}]])


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attack was stopped after its first step."""
    for module in (recipe_jobs, attacker):
        monkeypatch.setattr(module, "craft", stopped_craft)


def stopped_craft(recipe: Recipe, example: Example, **options: object) -> AttackOutcome:
    return real_craft(recipe, example, **options).model_copy(update={"stopped": True})  # type: ignore[arg-type]


@pytest.mark.parametrize("page", ["windows", "gradcam", "features", "masks", "landscape", "detect", "defend"])
def test_a_stopped_attack_is_told_on_every_screen(page: str, stopped: None) -> None:
    app = visit(page, DEFENDED.to_link())
    # What is built on a stopped attack does not begin by itself.
    if page in ("gradcam", "features", "defend"):
        assert "stopped" in verdict(app)
        again = [str(button.key) for button in app.button if str(button.key).startswith("again_")]
        app.button(key=next(key for key in again if key != "again_attack")).click()
        settled(app.run())
    if page != "defend" or "did not fool" in verdict(app):
        assert verdict(app).startswith("The attack was stopped after 1 step. ")
    assert page in ("features", "landscape") or "(stopped)" in everything(app)


def test_maps_of_a_stopped_attack_on_a_known_defense_do_not_begin_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attacker, "craft", stopped_craft)  # the attack that knows no defense is not stopped
    app = visit("gradcam", DEFENDED.replace(attacker="adaptive").to_link())
    assert "stopped" in verdict(app) and "again_class_maps" in [str(button.key) for button in app.button]
    app.button(key="again_class_maps").click()
    settled(app.run())
    assert verdict(app).startswith("The attack was stopped after 1 step. ")


@pytest.mark.parametrize("page", ["gradcam", "features", "masks", "landscape"])
def test_no_screen_speaks_of_a_grey_box_where_there_is_no_defense(page: str) -> None:
    assert "grey box" not in everything(visit(page, DIGIT.to_link()))


@pytest.mark.parametrize("page", ["gradcam", "features"])
def test_a_screen_with_the_recipes_defenses_names_the_grey_box(page: str) -> None:
    assert "(grey box)" in everything(visit(page, DEFENDED.to_link()))


def test_an_attack_that_changed_nothing_is_told() -> None:
    nothing = DIGIT.replace(attack={"name": "fgsm", "params": {"eps": 0}})
    assert verdict(visit("features", nothing.to_link())) == "The attack changed nothing."
    app = visit("landscape", nothing.to_link())
    app.button_group(key="landscape_view").set_value("regions")
    settled(app.run())
    assert verdict(app).startswith("The attack changed nothing: there is no plane") and not app.error
    app.button_group(key="landscape_view").set_value("spectrum")
    settled(app.run())
    assert verdict(app) == "The attack changed nothing, so there is no spectrum of the change."
    assert list(app.dataframe[0].value["above 1/4 cycle a pixel"])[1:] == ["–", "–"]
    assert verdict(visit("gradcam", nothing.to_link())).startswith("The attack changed nothing")


def test_a_black_image_has_no_share_that_changed() -> None:
    digest = uploads.uploads().add(images.png(np.zeros((28, 28, 3), np.uint8)))
    black = DIGIT.replace(image=ImageRef(kind="upload", name="black.png", digest=digest).model_dump())
    app = visit("features", black.to_link())
    assert verdict(app).startswith("The clean image is all zero, so no share of it can be taken.")
    assert app.dataframe[0].value.iloc[0]["image"] == "–"


def test_without_a_defense_the_headline_says_so() -> None:
    assert verdict(visit("defend", DIGIT.to_link())) == "No defense is chosen."


@pytest.mark.data
def test_an_empty_map_is_told_and_nothing_is_computed_from_it(data: Path) -> None:
    recipe = Recipe(domain="mnist", image=ImageRef(kind="dataset", index=9), defenses=())
    app = visit("gradcam", recipe.to_link())
    assert "empty" not in verdict(app), "the usual layer gives maps"
    layers = next(box for box in app.selectbox if str(box.key).startswith("cam_layer"))
    layers.select("features.8")
    settled(app.run())
    assert "empty: no place" in verdict(app) and "Choose another layer" in verdict(app)
    assert any("the map is empty" in tile["caption"] for tile in tiles(app, "Heat maps over the images"))
    row = app.dataframe[0].value.iloc[0]
    assert {row[head] for head in ("top fifths overlap", "center moved", "suppressed", "shared", "emphasized")} == {"–"}
    with pytest.raises(AssertionError, match="no row called"):
        tiles(app, "What moved against the clean image")
