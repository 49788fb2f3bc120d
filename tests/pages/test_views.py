"""Views are part of the recipe: a link restores what was seen, and an impossible one gets a sentence."""

from __future__ import annotations

import json

import pytest

from app.state import result_keys
from core import InvalidInput, Recipe
from core.recipe import Method, View
from tests.pages.visits import settled, tiles, verdict, visit

DIGIT = Recipe(domain="mnist", classifier="a", attack=Method(name="fgsm"), defenses=())


def linked(view: View, recipe: Recipe = DIGIT) -> str:
    return recipe.replace(view=view.model_dump()).to_link()


def test_a_link_restores_the_class_map() -> None:
    view = View(class_map="layercam", layer="features.2", explained_class="7")
    app = visit("gradcam", linked(view))
    assert app.selectbox(key="cam_method").value == "layercam"
    assert next(box for box in app.selectbox if str(box.key).startswith("cam_layer")).value == "features.2"
    assert app.selectbox(key="cam_class_mnist").value == 7
    assert [tile["caption"] for tile in tiles(app, "Heat maps over the images")] == ["explains 7", "explains 7"]
    assert app.session_state["recipe"].view == view
    app.selectbox(key="cam_method").select("gradcam")
    settled(app.run())
    assert Recipe.from_link(app.query_params["recipe"]).view == view.model_copy(update={"class_map": "gradcam"})


def test_a_link_restores_the_landscape() -> None:
    app = visit("landscape", linked(View(radius=0.08)))
    assert app.slider(key="landscape_reach_mnist").value == pytest.approx(0.08)
    app.button_group(key="landscape_view").set_value("spectrum")
    settled(app.run())
    assert "lies above" in verdict(app)
    again = visit("landscape", app.query_params["recipe"])
    assert verdict(again) == verdict(app) and again.session_state["recipe"].view.radius == 0.08


def test_a_link_restores_the_detector_and_its_threshold() -> None:
    app = visit("detect", linked(View(detector="feature_squeezing", clean_flagged=0.2)))
    assert app.button_group(key="detector_mnist").value == "feature_squeezing"
    assert app.slider(key="detect_share").value == 0.2
    assert any("at most 20 % of 200" in caption.value for caption in app.caption)


def test_a_link_restores_which_gradient_windows_are_drawn() -> None:
    app = visit("windows", linked(View(windows="clean")))
    assert app.button_group(key="windows_which").value == "clean"


def test_what_another_classifier_or_domain_does_not_have_is_told_or_left_out() -> None:
    app = visit("gradcam", linked(View(layer="stages.3")))
    assert any("has no layer stages.3" in caption.value.replace("\\", "") for caption in app.caption)
    assert not app.exception
    app = visit("detect", linked(View(detector="mask_disagreement"), Recipe(attack=Method(name="fgsm"))))
    assert any("no detector of the kind" in caption.value for caption in app.caption)
    app = visit("gradcam", linked(View(class_map="xgradcam", layer="features.2", explained_class="7")))
    app.selectbox(key="side_domain").set_value("cifar10").run()
    settled(app)
    assert app.session_state["recipe"].domain == "cifar10"
    assert app.session_state["recipe"].view == View(class_map="xgradcam")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"class_map": "Grad-[CAM](https://example.org)"}, "no class-map method"),
        ({"explained_class": "eleven"}, "eleven"),
        ({"radius": -1}, "radius"),
        ({"clean_flagged": 1}, "clean_flagged"),
        ({"threshold": float("nan")}, "threshold"),
        ({"detector": "x" * 9000}, "detector"),
        ({"landscape": "hills"}, "landscape"),
        ({"zoom": 2}, "zoom"),
    ],
)
def test_an_impossible_view_gets_a_sentence(view: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as error:
        Recipe.from_json(json.dumps({"domain": "mnist", "view": view}))
    assert "\n" not in str(error.value) and len(str(error.value)) <= 500


def test_a_view_changes_no_result() -> None:
    plain, other = DIGIT, DIGIT.replace(view=View(class_map="hirescam", radius=0.1).model_dump())
    assert result_keys.attack(plain) == result_keys.attack(other)
    assert result_keys.defenses(plain, "grey") == result_keys.defenses(other, "grey")
