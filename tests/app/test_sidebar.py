"""The sidebar of every page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.runtime import examples
from core import Recipe, images, plugins
from core.recipe import ImageRef
from tests.pages.visits import tiles, verdict, visit

NOISE = np.random.default_rng(1).integers(0, 256, (90, 200, 3), dtype=np.uint8)


def test_every_bad_file_gets_its_sentence_and_the_last_good_one_is_taken() -> None:
    app = visit()
    app.button(key="door_upload").click().run()
    turned = io.BytesIO()
    Image.fromarray(NOISE[:64, :64]).save(turned, "WEBP", lossless=True)
    app.file_uploader(key="uploaded").set_value(
        [
            ("empty.png", b"", "image/png"),
            ("noise.png", images.png(NOISE), "image/png"),
            ("<b>text*.jpg", b"not an image", "image/jpeg"),
            ("small.webp", turned.getvalue(), "image/webp"),
        ]
    ).run()
    assert not app.exception, app.exception
    told = [error.value for error in app.error]
    assert len(told) == 2 and told[0].startswith("empty.png: ") and "text\\*.jpg" in told[1]
    image_ref = app.session_state["recipe"].image
    assert (image_ref.kind, image_ref.name) == ("upload", "small.webp")
    assert verdict(app).endswith("The true class of this image is unknown.")
    assert Recipe.from_link(app.query_params["recipe"]).image == image_ref
    again = visit(recipe=app.query_params["recipe"])  # a reload finds it
    assert not again.warning and again.session_state["recipe"].image == image_ref


def test_the_true_class_of_an_unlabeled_image_can_be_said_and_goes_with_it() -> None:
    app = visit()
    assert not [box for box in app.selectbox if box.label == "True class"], "the gallery's classes are known"
    app.button(key="door_upload").click().run()
    app.file_uploader(key="uploaded").set_value([("noise.png", images.png(NOISE), "image/png")]).run()
    box = app.selectbox(key="side_true_class_photos")
    assert box.value == "" and box.options[0] == "unknown"
    box.set_value("rocket").run()
    assert app.session_state["recipe"].true_class == "rocket"
    assert "but it is a rocket" in verdict(app) or verdict(app).startswith("The classifier sees a rocket")
    again = visit(recipe=app.query_params["recipe"])
    assert again.selectbox(key="side_true_class_photos").value == "rocket"
    again.segmented_control(key="side_fit").set_value("pad").run()
    assert again.session_state["recipe"].true_class == "rocket", "the same image, fitted otherwise"
    again.selectbox(key="side_domain").set_value("mnist").run()
    assert not again.exception and again.session_state["recipe"].true_class == ""
    app.file_uploader(key="uploaded").set_value([("other.png", images.png(NOISE[:80]), "image/png")]).run()
    assert app.session_state["recipe"].true_class == "", "another image"


def test_the_fit_changes_what_the_classifier_gets() -> None:
    app = visit()
    app.button(key="door_upload").click().run()
    app.file_uploader(key="uploaded").set_value([("wide.png", images.png(NOISE), "image/png")]).run()
    seen = set()
    for fit in ("crop", "pad", "stretch"):
        app.segmented_control(key="side_fit").set_value(fit).run()
        assert app.session_state["recipe"].image.fit == fit
        seen.add(tiles(app, "The image")[0]["src"])
    assert len(seen) == 3


def test_the_seed_survives_another_page_and_the_domain_begins_anew() -> None:
    app = visit(recipe=Recipe(image=ImageRef(name="rocket"), seed=3).to_link())
    app.switch_page("pages/defend.py").run()
    assert app.number_input(key="side_seed").value == 3
    app.selectbox(key="side_domain").set_value("mnist").run()
    assert app.session_state["recipe"].image == ImageRef()
    assert app.session_state["recipe"].seed == 3


def test_labels_that_name_nothing_and_a_broken_plugin_are_told_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet" / "a.png").write_bytes(images.png(NOISE))
    (tmp_path / "imagenet" / "labels.csv").write_text("file;label\nb.png;1\n", encoding="utf-16")
    monkeypatch.setattr(plugins, "_problems", {"x": "The plugin x.py is left out: ImportError."})
    recipe = Recipe(domain="imagenet")
    with monkeypatch.context() as patch:
        patch.setattr(examples, "current", lambda: None)  # the classifier would have to be downloaded
        app = visit(recipe=recipe.to_link())
    told = [warning.value for warning in app.sidebar.warning]
    assert any("labels.csv names 0 of 1 images; it must have a column 'file'" in text for text in told), told
    assert any("there is no image 'b.png'" in text for text in told)
    assert any("The plugin x.py is left out" in text for text in told)
    assert not app.exception


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_damaged_data_set_leaves_the_domain_usable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    for file in ("cifar-10-batches-py/test_batch", "MNIST/raw/t10k-images-idx3-ubyte"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"damaged")
    app = visit(recipe=Recipe(domain=name).to_link())
    assert not app.exception, app.exception
    assert any("damaged or incomplete" in info.value for info in app.sidebar.info)
    assert verdict(app)
