"""The screen of the certificates."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import certify, domains
from core.evaluate.certification import certify_image
from core.recipe import Method, Recipe, load_example
from tests.pages.test_landscape import decoded
from tests.pages.visits import settled, verdict, visit

INTERVAL = Method(name="linf", params={"eps": 0.01, "bound": "interval"})
SMOOTHING = Method(name="smoothing", params={"samples": 100, "selection": 20})
RECIPE = Recipe(domain="mnist", classifier="cnn").replace(view={"certificate": INTERVAL.model_dump()})


def lines(app: AppTest) -> dict[str, np.ndarray]:
    """The curves of the first plot by their names."""
    data = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    return {trace["name"]: decoded(trace["y"]) for trace in data}


def words(app: AppTest) -> str:
    return " ".join(str(element.value) for element in (*app.markdown, *app.caption))


def test_one_image_has_its_bound_its_attack_and_the_gap() -> None:
    app = visit("certify", RECIPE.to_link())
    example = load_example(RECIPE, device="cpu")
    found = certify_image(
        certify.LinfCertificate(eps=0.01, bound="interval"), example.classifier, example.images, example.label
    )
    assert found is not None
    shown = lines(app)
    assert shown["L∞ bounds"] == pytest.approx(found.best_bound, rel=1e-4)
    assert shown["best of APGD-CE and PGD"] == pytest.approx(found.attacked, rel=1e-3)
    assert "gap: where the smallest margin lies" in shown
    name = example.classifier.classes[example.label]
    assert f" {name} is certified up to {found.radius:.3g} (L∞)." in verdict(app)
    assert "No attack tried up to 0.01 changes it." in verdict(app)
    assert "Promised: no change inside the threat model" in words(app) and "Not promised:" in words(app)


def test_smoothing_says_its_radius_and_what_it_is_about() -> None:
    app = visit("certify", RECIPE.replace(view={"certificate": SMOOTHING.model_dump()}).to_link())
    assert "L2 on images in [0, 1]" in verdict(app) or "abstains" in verdict(app) or "wrong" in verdict(app)
    assert not app.get("plotly_chart") and "smoothed classifier" in words(app)


def test_every_certificate_is_offered_and_the_choice_is_in_the_link() -> None:
    app = visit("certify", RECIPE.replace(view={"certificate": SMOOTHING.model_dump()}).to_link())
    offered = next(group for group in app.button_group if group.label == "Certificate")
    assert [option.content for option in offered.proto.options] == [certify.get(name).title for name in certify.names()]
    recipe = Recipe.from_link(app.query_params["recipe"])
    assert recipe.view.certificate == SMOOTHING


def test_a_classifier_without_the_form_gets_a_sentence() -> None:
    app = visit("certify", Recipe(view={"certificate": INTERVAL.model_dump()}).to_link())
    name = domains.get("photos").classifier().title
    assert verdict(app) == f"This certificate is not for {name}."
    assert "bounds go through a chain of convolutions" in app.error[0].value.replace("\\", "")
    assert "Randomized smoothing takes any classifier" in app.error[0].value


def test_a_set_has_certified_and_attacked_accuracy() -> None:
    app = visit("certify", RECIPE.to_link())
    if not domains.get("mnist").splits():
        assert app.info
        return
    app.number_input(key="certify_count_mnist").set_value(3)
    app.run()
    app.button(key="certify_run").click()
    settled(app.run())
    assert "3 images" in words(app) and "images are certified at 0.01 (L∞)" in words(app)
    assert len(app.get("plotly_chart")) == 2
    data = json.loads(app.get("plotly_chart")[1].proto.spec)["data"]
    certified, attacked = (decoded(trace["y"]) for trace in data)
    assert bool((certified <= attacked).all()) and certified[0] == attacked[0]


def test_the_first_that_fits_is_shown_and_long_work_waits_for_a_word() -> None:
    app = visit("certify", Recipe().to_link())
    assert verdict(app).startswith("The certificate would take about 50")
    assert app.button(key="again_certified_image").label == "Run anyway"
    assert "smoothed classifier" in words(app) and "Promised" not in words(app)
    assert "The threat model: Any change of the image whose L2 length" in words(app)


def test_a_flow_is_drawn_and_two_networks_stand_in_one_plot() -> None:
    certificate = Method(name="flow", params={"eps": 4.0, "bound": "joint", "find_radius": False})
    recipe = Recipe(domain="mnist", classifier="mlp").replace(view={"certificate": certificate.model_dump()})
    app = visit("certify", recipe.to_link())
    assert "The attack's flow at 4 px" in words(app) and "The farthest pixel moved" in words(app)
    if not domains.get("mnist").splits():
        return
    app.number_input(key="certify_count_mnist").set_value(2)
    beside = app.selectbox(key="certify_beside_mnist_mlp_flow")
    certified = domains.get("mnist").classifier_title("mlp_certified")
    assert beside.options == ["none", certified]
    beside.set_value("mlp_certified")
    app.run()
    app.button(key="certify_run").click()
    settled(app.run())
    data = json.loads(app.get("plotly_chart")[1].proto.spec)["data"]
    plain = domains.get("mnist").classifier_title("mlp")
    assert [trace["name"].partition(": ")[0] for trace in data] == [plain, plain, certified, certified]
    said = words(app).replace("\\", "")
    assert "radius" not in [toggle.label for toggle in app.toggle], "it is always worked out for one image"
    assert f"{plain}: " in said and f"{certified}: " in said and said.count("images are certified at 4 px") == 2


def test_a_set_that_would_take_too_long_is_refused_and_a_stopped_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if not domains.get("mnist").splits():
        pytest.skip("no data set to certify images of")
    app = visit("certify", RECIPE.replace(view={"certificate": SMOOTHING.model_dump()}).to_link())
    app.number_input(key="certify_count_mnist").set_value(5)
    monkeypatch.setattr("core.recipe.cost.ASK", 0.001)
    monkeypatch.setenv("MIRAGE_MOST_SECONDS", "0.002")
    app.button(key="certify_run").click().run()
    assert not app.exception and "this server runs 2.0 ms at most" in words(app) and "This takes about" in words(app)
    assert app.button(key="again_certified_set").disabled


def test_a_program_that_is_too_large_for_the_solver_says_what_to_choose() -> None:
    certificate = Method(name="flow", params={"eps": 4.0, "bound": "exact"})
    recipe = Recipe(domain="mnist", classifier="mlp").replace(view={"certificate": certificate.model_dump()})
    app = visit("certify", recipe.to_link())
    said = [str(warning.value).replace("\\", "") for warning in app.warning]
    assert any("has 1,285 rows" in text and "choose the bound 'paper'" in text for text in said), said
    assert "The certificate failed." in verdict(app)
