"""The Grad-CAM screen."""

from __future__ import annotations

import base64

import numpy as np
import torch

from core import domains, images
from core.explain.cam_similarity import compare_maps
from core.explain.cams import METHODS, class_maps
from core.explain.layers import layer, layers
from core.figures.colormaps import DIVERGING, INFERNO, heat, levels, signed
from core.recipe import Method, Recipe, craft, load_example
from core.recipe.columns import MemberSpec, SystemSpec
from tests.pages.visits import settled, tiles, verdict, visit

PATCH = Recipe(attack=Method(name="lavan", params={"steps": 60}), defenses=((Method(name="lgs"),),))


def pixels(source: str) -> images.Pixels:
    return images.decode(base64.b64decode(source.split(",")[1]))


def test_it_shows_the_maps_of_every_image_and_what_moved() -> None:
    app = visit("gradcam", PATCH.to_link())
    example = load_example(PATCH, device="cpu")
    attacked = craft(PATCH, example)
    classifier = example.classifier
    batch = torch.cat([example.images, images.to_tensor(attacked.adversarial)])
    with torch.no_grad():
        seen = classifier(batch).argmax(1).tolist()
    wanted = class_maps(classifier, batch, seen, layer=layer(layers(classifier), classifier.cam_layer))
    shown = tiles(app, "Class maps in grey")
    assert [tile["title"] for tile in shown] == ["clean, map", "adversarial, map", "Local gradients smoothing, map"]
    for n in range(2):
        grey = pixels(shown[n]["src"])[..., 0].astype(int)
        assert np.abs(grey - levels(wanted[n])[..., 0].astype(int)).max() <= 1
    assert [tile["caption"] for tile in tiles(app, "Heat maps over the images")][:2] == [
        f"explains {classifier.classes[number]}" for number in seen
    ]
    assert attacked.mask is not None
    moved = compare_maps(wanted[0], wanted[1], attacked.mask[..., 0] > 0)
    assert moved.inside is not None
    row = app.dataframe[0].value.iloc[0]
    assert row["its map inside"] == f"{100 * moved.inside[1]:.0f} %"
    assert (
        row["top fifths overlap"] == f"{100 * moved.overlap:.0f} %"
        and row["center moved"] == f"{moved.centroid_shift:.1f} px"
    )
    assert f"{100 * moved.inside[1]:.0f} % of the classifier's attention lies inside the patch" in verdict(app)
    assert len(tiles(app, "What moved against the clean image")) == 3, "the scale, the attacked one, the defended one"


def test_methods_layers_and_classes_are_chosen() -> None:
    app = visit("gradcam", Recipe(domain="mnist", defenses=()).to_link())
    before = tiles(app, "Class maps in grey")
    for method in METHODS:
        app.selectbox(key="cam_method").select(method)
        settled(app.run())
        assert not app.exception and not app.error
        assert len(tiles(app, "Class maps in grey")) == 2
    assert app.selectbox(key="cam_method").value == "guided"
    app.selectbox(key="cam_method").select("layercam")
    settled(app.run())
    layers_of = next(box for box in app.selectbox if str(box.key).startswith("cam_layer"))
    layers_of.select("features.2")
    settled(app.run())
    assert tiles(app, "Class maps in grey")[0]["src"] != before[0]["src"]
    app.button_group(key="cam_about").set_value("another")
    settled(app.run())
    app.selectbox(key="cam_class_mnist").select(7)
    settled(app.run())
    assert [tile["caption"] for tile in tiles(app, "Heat maps over the images")] == ["explains 7", "explains 7"]


def test_a_method_that_cannot_work_here_says_why() -> None:
    app = visit("gradcam", Recipe(domain="cifar10", classifier="resnet", defenses=()).to_link())
    app.selectbox(key="cam_method").select("guided")
    settled(app.run())
    assert any("needs ReLUs" in warning.value for warning in app.warning)
    app.selectbox(key="cam_method").select("gradcam")
    settled(app.run())
    assert len(tiles(app, "Class maps in grey")) == 2


def test_colors_say_what_they_should() -> None:
    values = np.array([[-1.0, 0.0, 1.0]])
    assert signed(values, 1.0)[0, :, 0].tolist() == [0, 128, 255] and signed(values, 0.0)[0, :, 0].tolist() == [128] * 3
    grey = np.full((1, 1, 1), 100, np.uint8)
    assert heat(grey, np.ones((1, 1)), 0.0)[0, 0].tolist() == [100] * 3
    assert heat(grey, np.ones((1, 1)), 1.0)[0, 0].tolist() == INFERNO[255].tolist()
    assert domains.get("photos").classifier(device="cpu").cam_layer == "stages.3"


def test_the_attacker_who_knows_a_column_is_the_recipes_and_another_classifier_has_its_own_clean_map() -> None:
    column = (Method(name="hgd"),)
    robust = SystemSpec(members=(MemberSpec(classifier="a_robust"),))
    recipe = Recipe(
        domain="mnist",
        classifier="cnn",
        attack=Method(name="fgsm"),
        defenses=(robust, column),
        attacker="adaptive",
    )
    app = visit("gradcam", recipe.to_link())
    example = load_example(recipe, device="cpu")
    known = craft(recipe, example, system=recipe.build_known_system())
    grey = craft(recipe, example)
    assert (known.adversarial != grey.adversarial).any()
    shown = tiles(app, "Images")
    other = example.load("a_robust")
    assert [tile["title"] for tile in shown] == [
        *("clean", "adversarial", f"clean, {other.title}"),
        *(system.describe() for system in recipe.build_systems()),
    ]
    assert np.array_equal(pixels(shown[1]["src"])[..., 0], known.adversarial[..., 0])
    assert np.array_equal(pixels(shown[2]["src"])[..., 0], example.clean[..., 0])
    batch = torch.cat([example.images, images.to_tensor(known.adversarial)])
    with torch.no_grad():
        seen = other(batch).argmax(1).tolist()
    clean, attacked = class_maps(other, batch, seen, layer=layer(layers(other), other.cam_layer))
    maps = [pixels(tile["src"])[..., 0].astype(int) for tile in tiles(app, "Class maps in grey")]
    for found, wanted in ((maps[2], clean), (maps[3], attacked)):
        assert np.abs(found - levels(wanted)[..., 0].astype(int)).max() <= 1
    moved = tiles(app, "What moved against the clean image")
    assert [tile["title"] for tile in moved] == [
        "shift",
        "adversarial, shift",
        *(f"{shown[n]['title']}, shift" for n in (3, 4)),
    ]
    shift = DIVERGING[signed(attacked - clean, 1.0)[..., 0]].astype(int)
    assert np.abs(pixels(moved[2]["src"]).astype(int) - shift).max() <= 4, "against its own map of the clean image"
    text = "\n".join(str(caption.value) for caption in app.caption).replace("\\", "")
    assert f"on {other.title}, seed 0; the attacker knows the defense {other.title}" in text
    next(box for box in app.selectbox if str(box.key).startswith("attack_known_")).select(-1)
    settled(app.run())
    assert np.array_equal(pixels(tiles(app, "Images")[1]["src"])[..., 0], grey.adversarial[..., 0])
