"""The recipe and the address: links, steps back and forward, and what a link names that is not here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.state import session
from core import Recipe, images
from core.domains.imagenet import ImageNet
from core.models.classifier import Classifier
from core.recipe import ComparisonSpec, ImageRef, Method
from tests.pages.visits import ROOT, settled, verdict, visit

FGSM = Method(name="fgsm")


def moved(app: AppTest, word: str) -> AppTest:
    """The page after the browser has gone to that recipe's address."""
    app.query_params["recipe"] = word
    return settled(app.run())


def test_one_class_has_one_name_in_a_recipe() -> None:
    for word in ("1", "ASTRONAUT", " astronaut ", "astronaut"):
        assert Recipe(target=word).target == "astronaut"
    assert Recipe(domain="mnist", target="7").target == "7"
    assert Recipe.from_link(Recipe(target="1").to_link()) == Recipe(target="astronaut")


def test_a_target_by_number_stays_a_target_on_the_screen() -> None:
    recipe = Recipe(image=ImageRef(name="coffee"), target="1", attack=FGSM, defenses=())
    app = visit("attack", recipe.to_link())
    assert app.selectbox(key="attack_target_photos_2").value == "astronaut"
    assert app.session_state["recipe"].target == "astronaut"


def test_a_target_that_is_the_images_own_class_is_told_and_kept() -> None:
    app = visit("attack", Recipe(target="cat", attack=FGSM).to_link())
    assert any("own class" in warning.value for warning in app.warning)
    assert app.session_state["recipe"].target == "cat"


def test_an_image_beyond_the_end_is_told_and_kept(data: Path) -> None:
    beyond = ImageRef(kind="dataset", index=10_000)
    app = visit("attack", Recipe(domain="cifar10", image=beyond, defenses=()).to_link())
    assert verdict(app) == "This image cannot be shown."
    assert "there is no 10000" in app.error[0].value
    assert app.session_state["recipe"].image == beyond
    assert app.number_input(key="set_number_cifar10_test_any class").value is None
    app.number_input(key="set_number_cifar10_test_any class").set_value(5).run()
    settled(app)
    assert app.session_state["recipe"].image.index == 5 and not app.error


def test_an_unknown_split_is_told_and_kept(data: Path) -> None:
    app = visit("", Recipe(domain="mnist", image=ImageRef(kind="dataset", split="valid")).to_link())
    assert "no split called 'valid'" in app.error[0].value
    assert app.selectbox(key="set_split").value is None
    app.selectbox(key="set_split").set_value("train").run()
    settled(app)
    assert app.session_state["recipe"].image == ImageRef(kind="dataset", split="train") and not app.error


def test_the_attacker_of_a_link_survives_every_page() -> None:
    light = ComparisonSpec(attacks=("fgsm",))
    word = Recipe(attacker="both", attack=FGSM, defenses=((Method(name="bitdepth"),),), comparison=light).to_link()
    app = visit("", word)
    for page in ("attack", "defend", "compare", "windows"):
        settled(app.switch_page(f"pages/{page}.py").run())
        assert app.session_state["recipe"] == Recipe.from_link(word), page
    app.switch_page("pages/defend.py").run()
    assert app.segmented_control(key="attacker").value == "both"


ODD = Recipe(
    attack=Method(name="pgd", params={"eps": 200 / 255, "steps": 7, "step_size": 0.0123, "restarts": 2}),
    defenses=tuple((Method(name="bitdepth", params={"bits": n % 8 + 1}),) for n in range(12)),
    comparison=ComparisonSpec(attacks=("fgsm", "bim"), eps=0.77, steps=230),
    seed=2**31 - 1,
    image=ImageRef(name="rocket", fit="stretch"),
)


def test_no_page_rewrites_what_its_controls_cannot_reach() -> None:
    app = visit("", ODD.to_link())
    for page in (
        "attack",
        "compare",
        "defend",
        "windows",
        "gradcam",
        "features",
        "landscape",
        "evaluate",
        "training",
        "models",
        "start",
    ):
        settled(app.switch_page(f"pages/{page}.py").run())
        assert app.session_state["recipe"] == ODD, page
        assert Recipe.from_link(app.query_params["recipe"]) == ODD, page


def test_a_twelfth_column_is_never_dropped_by_the_sliders_of_windows() -> None:
    app = visit("windows", ODD.replace(attack=FGSM.model_dump()).to_link())
    before = app.session_state["recipe"]
    app.slider(key="windows_0_lgs_lambda").set_value(0.5).run()
    assert app.session_state["recipe"] == before
    assert any("12 defenses" in said.value for said in (*app.warning, *app.error))


def test_an_address_that_this_session_did_not_write_is_read() -> None:
    app = visit("attack", Recipe(attack=FGSM).to_link())
    moved(app, Recipe(attack=Method(name="fgsm", params={"eps": 3 / 255}), seed=5).to_link())
    assert app.session_state["recipe"].seed == 5
    assert app.slider(key="attack_fgsm_eps").value == 3 and app.number_input(key="side_seed").value == 5
    moved(app, Recipe(attack=FGSM).to_link())
    assert app.slider(key="attack_fgsm_eps").value == 8 and app.number_input(key="side_seed").value == 0


def test_a_damaged_address_keeps_what_was_shown() -> None:
    app = visit("attack", Recipe(attack=FGSM, seed=3).to_link())
    moved(app, "nonsense")
    assert "damaged" in app.warning[0].value and "keeps what it showed" in app.warning[0].value
    assert app.session_state["recipe"].seed == 3
    settled(app.run())
    assert Recipe.from_link(app.query_params["recipe"]).seed == 3


def test_what_the_browser_sends_late_is_no_step_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Recipe(attack=FGSM, seed=seed).to_link() for seed in (1, 2))
    app = visit("attack", first)
    app.number_input(key="side_seed").set_value(2).run()
    app.query_params["recipe"] = first  # what a widget sends that was moved before the new address came
    app.run()
    assert app.session_state["recipe"].seed == 2 and app.query_params["recipe"] == second
    monkeypatch.setattr(session, "stepped_in_history", lambda: True)
    app.query_params["recipe"] = first
    app.run()
    assert app.session_state["recipe"].seed == 1 and app.number_input(key="side_seed").value == 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_thousand: Callable[..., Classifier]) -> Path:
    """A user's folder whose first image is damaged and whose second one is too large."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.setattr(ImageNet, "classifier", lambda self, name, device, on_progress=None: tiny_thousand())
    made = tmp_path / "imagenet"
    made.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (made / "a.jpg").write_bytes(images.png(noise)[:-200])
    Image.new("L", (9000, 5000)).save(made / "b.png")
    (made / "c.png").write_bytes(images.png(noise))
    return made


@pytest.fixture
def tiny_thousand() -> Callable[..., Classifier]:
    import torch

    names = ImageNet().classes
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 1000))
    return lambda: Classifier(
        network,
        name="resnet50",
        title="Tiny",
        domain="imagenet",
        classes=names,
        size=224,
        channels=3,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        cam_layer="0",
    )


def test_an_image_that_cannot_be_shown_leaves_the_page_at_rest(folder: Path) -> None:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30)
    app.query_params["recipe"] = Recipe(domain="imagenet").to_link()
    settled(app.run())
    app.segmented_control(key="side_source").set_value("dataset").run()
    assert verdict(app) == "This image cannot be shown." and "a.jpg: " in app.error[0].value
    number = "set_number_imagenet_unlabeled_any class"
    app.number_input(key=number).set_value(1).run()
    assert "b.png: " in app.error[0].value and "9000 × 5000" in app.error[0].value
    app.number_input(key=number).set_value(2).run()
    assert not app.error and "sees" in verdict(settled(app))
    assert app.session_state["recipe"].image == ImageRef(kind="dataset", split="unlabeled", index=2)


def test_the_fault_recipes_of_users(data: Path) -> None:
    beyond = json.dumps({"domain": "cifar10", "image": {"kind": "dataset", "index": 10_000}, "defenses": []})
    held = Recipe.from_json(beyond)
    app = visit("defend", held.to_link())
    assert verdict(app) == "This image cannot be shown." and app.session_state["recipe"] == held
    app = visit("defend", Recipe(defenses=()).to_link())
    assert verdict(app) == "No defense is chosen."
    app.button(key="add").click()
    settled(app.run())
    assert len(app.session_state["recipe"].defenses) == 1 and "defense" in verdict(app)
