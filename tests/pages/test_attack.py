"""The Attack screen."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import text
from app.runtime import recipe_jobs
from app.state.result_keys import Kind
from core import Recipe, attacks, images
from core.attacks.fgsm import FGSM
from core.inputs import InvalidInput
from core.recipe import ImageRef, Method
from tests.core.test_plugins import plugins  # noqa: F401  (a fixture)
from tests.pages.visits import ROOT, settled, tiles, verdict, visit

ROW = "clean plus change is adversarial"


def pixels(uri: str) -> np.ndarray:
    return images.decode(base64.b64decode(uri.partition(",")[2]))


def test_an_attack_stands_on_the_screen_without_a_click() -> None:
    app = visit("attack")
    assert re.match(
        r"It was a cat \(.*After \d+ steps?, changing no pixel by more than 8/255, the classifier sees an? \w+ \(",
        verdict(app),
    )
    clean, change, adversarial = tiles(app, ROW)
    assert [clean["sign"], change["sign"], adversarial["sign"]] == ["", "+", "="]
    factor = int(change["title"].rsplit(" ", 1)[1])
    x, delta, moved = (pixels(tile["src"]).astype(int) for tile in (clean, change, adversarial))
    assert 0 < np.abs(moved - x).max() <= 8
    assert np.array_equal(delta, np.clip(128 + factor * (moved - x), 0, 255))
    assert clean["caption"].startswith("✓ cat") and adversarial["caption"].startswith("✗")


def test_a_moved_slider_gives_the_new_fgsm_image_at_once() -> None:
    app = visit("attack", Recipe(attack=Method(name="fgsm")).to_link())
    before = tiles(app, ROW)[2]["src"]
    app.slider(key="attack_fgsm_eps").set_value(2.0)
    settled(app.run())
    x, _, moved = (pixels(tile["src"]).astype(int) for tile in tiles(app, ROW))
    assert tiles(app, ROW)[2]["src"] != before
    assert np.abs(moved - x).max() == 2


def test_changed_settings_wait_for_run_and_keep_the_old_images() -> None:
    app = visit("attack")
    before = tiles(app, ROW)[2]["src"]
    app.slider(key="attack_pgd_steps").set_value(5)
    settled(app.run())
    assert tiles(app, ROW)[2]["src"] == before
    assert any("Press Run" in info.value for info in app.info)
    app.button(key="run").click()
    settled(app.run())
    assert tiles(app, ROW)[2]["src"] != before
    assert not any("Press Run" in info.value for info in app.info)
    assert app.session_state["recipe"].attack.params == {"steps": 5}


def test_it_survives_other_pages() -> None:
    app = visit("attack")
    shown = verdict(app), tiles(app, ROW)[2]["src"]
    app.switch_page("pages/defend.py").run()
    settled(app)
    app.switch_page("pages/attack.py").run()
    assert (verdict(app), tiles(app, ROW)[2]["src"]) == shown
    assert "job" not in app.session_state


def test_failure_is_said_with_advice() -> None:
    recipe = Recipe(attack=Method(name="pgd", params={"eps": 0.0004, "steps": 3}))
    assert re.match(
        r"3 steps were not enough: it is still a cat \(.*Try more steps or a larger eps\.",
        verdict(visit("attack", recipe.to_link())),
    )


def test_a_target_is_reached_and_named() -> None:
    recipe = Recipe(attack=Method(name="pgd", params={"eps": "32/255"}), target="rocket")
    assert "sees a rocket" in verdict(visit("attack", recipe.to_link()))


def test_numbers_are_those_of_the_saved_image() -> None:
    app = visit("attack")
    x, _, moved = (pixels(tile["src"]).astype(int) for tile in tiles(app, ROW))
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["L0"] == f"{int((x != moved).any(2).sum()):,} px"
    assert figures["L∞"] == f"{np.abs(x - moved).max()}/255"
    assert figures["L2"] == f"{np.sqrt(((x - moved) ** 2).sum()) / 255:.2f}"
    assert json.loads(app.code[0].value) == json.loads(app.session_state["recipe"].to_json())


def test_another_classifier_is_attacked_at_once() -> None:
    app = visit("attack", Recipe(domain="mnist", classifier="a").to_link())
    before = verdict(app), tiles(app, ROW)[2]["src"]
    app.selectbox(key="side_classifier_mnist").set_value("b").run()
    settled(app)
    assert not any("Press Run" in info.value for info in app.info)
    assert (verdict(app), tiles(app, ROW)[2]["src"]) != before


def test_a_failing_attack_gets_one_sentence_and_is_not_begun_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def refuse(*_: object) -> None:
        begun.append(1)
        raise InvalidInput("This attack cannot do that.")

    app = visit("attack")
    monkeypatch.setattr(FGSM, "iterate", refuse)
    app.selectbox(key="attack_name").set_value("fgsm").run()
    assert [warning.value for warning in app.warning] == ["This attack cannot do that."]
    app.run()
    assert len(begun) == 1
    monkeypatch.undo()
    app.button(key="run").click()
    settled(app.run())
    assert not app.warning and "the classifier sees" in verdict(app)


def test_a_link_that_many_open_is_attacked_once_but_never_half(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def counted(recipe: Recipe, *arguments: Any, **options: Any) -> Any:
        begun.append(recipe.seed)
        return craft(recipe, *arguments, **options)

    craft = recipe_jobs.craft
    monkeypatch.setattr(recipe_jobs, "craft", counted)
    word = Recipe(seed=4711).to_link()
    first, second = visit("attack", word), visit("attack", word)
    assert begun == [4711] and verdict(first) == verdict(second)
    assert tiles(first, ROW) == tiles(second, ROW)
    visit("attack", Recipe(seed=4712).to_link())
    assert begun == [4711, 4712]
    long = Recipe(attack=Method(name="pgd", params={"steps": 800, "early_stop": False}), seed=4713).to_link()
    for _ in range(2):
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
        app.query_params["recipe"] = long
        app.run()
        app.switch_page("pages/attack.py").run()
        app.session_state["job"].cancel.set()
        settled(app)
    assert begun == [4711, 4712, 4713, 4713], "what one user stopped is no answer for another"


def test_stop_keeps_what_was_found() -> None:
    long = Recipe(attack=Method(name="pgd", params={"steps": 800, "early_stop": False}))
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.query_params["recipe"] = long.to_link()
    app.run()
    app.switch_page("pages/attack.py").run()
    while not (job := app.session_state["job"]).done:
        time.sleep(0.05)
    app.run()
    assert any("PGD" in progress.text for progress in app.get("progress"))
    assert any("sees" in caption.value for caption in app.caption)
    app.button(key="stop").click().run()
    assert job.finished.wait(10)
    settled(app.run())
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["L∞"] == "8/255"
    found = next(result for key, result in app.session_state["results"].items() if key.kind is Kind.ATTACK)
    assert found.stopped and 0 < found.iterations < 800
    assert verdict(app)


def test_a_lost_upload_is_said_in_one_sentence_and_stays_in_the_recipe() -> None:
    lost = ImageRef(kind="upload", digest="1" * 64, fit="pad")
    app = visit("attack", Recipe(image=lost).to_link())
    assert verdict(app) == "This image cannot be shown."
    assert [error.value for error in app.error] == [
        "This recipe is about an image that somebody uploaded; upload it here to go on."
    ]
    assert app.session_state["recipe"].image == lost
    app.button(key="first_image").click()
    settled(app.run())
    # Padded, PhotoNet takes the cat for a coffee: that is said, and of the right image.
    assert re.match(
        r"The classifier was wrong before any attack: it took this cat for an? \w+ \(.*\)\. \S", verdict(app)
    )
    assert app.session_state["recipe"].image == ImageRef(fit="pad") and not app.error


def test_a_new_attack_reaches_the_screen(plugins: None) -> None:  # noqa: F811
    assert "darken" in attacks.names()
    app = visit("attack", Recipe(attack=Method(name="darken", params={"amount": 0.2})).to_link())
    assert "Darken" in app.selectbox(key="attack_name").options
    assert app.slider(key="attack_darken_amount").value == 51
    x, _, moved = (pixels(tile["src"]).astype(int) for tile in tiles(app, ROW))
    assert np.abs(np.clip(x - 51, 0, 255) - moved).max() <= 1


@pytest.mark.parametrize("name", ["lavan", "universal_patch"])
def test_the_place_of_a_patch_stays_in_the_picker_the_recipe_the_link_and_the_result(name: str) -> None:
    quick = {"steps": 1, "batch": 1} if name == "universal_patch" else {"steps": 1}
    app = visit("attack", Recipe(attack=Method(name=name, params=quick)).to_link())
    place = {"place": "given", "row": 0.6, "column": 0.3}
    held = app.session_state["recipe"]  # as a click on the picker leaves it
    app.session_state["recipe"] = held.replace(attack=Method(name=name, params={**held.attack.params, **place}))
    app.run()
    app.button(key="run").click().run()
    settled(app)
    app.selectbox(key="attack_target_photos_0").set_value("rocket").run()
    app.button(key="run").click().run()
    settled(app)
    assert {word: app.session_state["recipe"].attack.params[word] for word in place} == place
    assert app.selectbox(key=f"attack_{name}_place").value == "given"
    assert app.slider(key=f"attack_{name}_row").value == 0.6
    again = visit("attack", app.query_params["recipe"])
    assert again.session_state["recipe"] == app.session_state["recipe"]
    assert {word: again.session_state["recipe"].attack.params[word] for word in place} == place
    attacked = again.session_state["shown_attack"].attacked
    if name == "lavan":
        rows, columns = np.nonzero(attacked.mask[..., 0])
        side = rows.max() - rows.min() + 1
        assert (rows.min(), columns.min()) == (round(0.6 * (160 - side)), round(0.3 * (160 - side)))


def test_a_target_by_number_or_in_other_letters_is_kept() -> None:
    for word in ("3", "Rocket"):
        app = visit("attack", Recipe(attack=Method(name="fgsm"), target=word).to_link())
        assert app.selectbox(key="attack_target_photos_0").value == "rocket"
        assert app.session_state["recipe"].target in (word, "rocket")


def test_mnist_has_its_own_budget_and_advice_ends_where_the_sliders_end() -> None:
    app = visit("attack", Recipe(domain="mnist", attack=Method(name="fgsm")).to_link())
    slider = app.slider(key="attack_fgsm_eps")
    assert (slider.label, slider.value, slider.max) == ("eps", 0.3, 0.5)
    assert any("gray levels" in caption.value for caption in app.caption)
    app.selectbox(key="side_domain").set_value("photos").run()
    settled(app)
    slider = app.slider(key="attack_fgsm_eps")
    assert (slider.label, slider.value, slider.max) == ("eps (n/255)", 8.0, 32.0)
    held = {"eps": 32 / 255, "steps": 200}
    assert text.advice_for(Recipe(attack=Method(name="pgd", params=held))) == "another attack"
    assert text.advice_for(Recipe(attack=Method(name="pgd", params={"eps": 32 / 255}))) == "more steps"
    assert text.advice_for(Recipe(domain="mnist", attack=Method(name="fgsm", params={"eps": 0.5}))) == "another attack"
    assert text.advice_for(Recipe(attack=Method(name="lavan", params={"area": 0.5, "steps": 1000}))) == "another attack"


def test_another_norm_has_its_own_budget() -> None:
    app = visit("attack", Recipe(domain="cifar10", attack=Method(name="pgd", params={"steps": 3})).to_link())
    app.selectbox(key="attack_pgd_norm").set_value("l2").run()
    settled(app)
    slider = app.slider(key="attack_pgd_eps")
    assert (slider.label, slider.value, slider.max) == ("eps", 0.5, 3.0)
    app.selectbox(key="attack_pgd_norm").set_value("linf").run()
    settled(app)
    assert app.slider(key="attack_pgd_eps").value == 8.0 and app.session_state["recipe"].attack.params == {"steps": 3}


def test_the_first_success_is_marked_and_the_random_start_is_named() -> None:
    params = {"eps": 32 / 255, "steps": 10, "early_stop": False}
    app = visit("attack", Recipe(attack=Method(name="pgd", params=params)).to_link())
    outcome = app.session_state["shown_attack"]
    first = outcome.attacked.steps_to_success
    assert 0 < first < 10 and f"fooled after {text.plural(first, 'step')}. After 10 steps, " in verdict(app)
    assert {metric.label: metric.value for metric in app.metric}["Steps until fooled"] == str(first)
    data = next(json.loads(e.proto.json) for e in app.get("bidi_component") if "captions" in (e.proto.json or ""))
    assert data["first"] == first and data["captions"][first].startswith(f"step {first}, fooled first: ✗")
    assert data["captions"][0].startswith("step 0 (the random start): ")
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [shape["x0"] for shape in spec["layout"]["shapes"]] == [first]
    assert [t["x"] for t in spec["data"] if t["name"] == f"fooled first: step {first}"] == [[first, first]]
    fgsm = visit("attack", Recipe(attack=Method(name="fgsm", params={"eps": 32 / 255})).to_link())
    data = next(json.loads(e.proto.json) for e in fgsm.get("bidi_component") if "captions" in (e.proto.json or ""))
    assert data["captions"][0].startswith("step 0 (the clean image): ✓ cat")
