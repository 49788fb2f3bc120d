"""The screen of the attention masks."""

from __future__ import annotations

import torch

from core import images
from core.explain import masks
from core.recipe import Method, Recipe, craft, load_example
from tests.pages.visits import settled, tiles, verdict, visit

RECIPE = Recipe(domain="mnist", classifier="a", attack=Method(name="pgd", params={"eps": "64/255"}))


def test_it_shows_what_the_mask_leaves_and_what_is_read() -> None:
    app = visit("masks", RECIPE.to_link())
    example = load_example(RECIPE, device="cpu")
    attacked = craft(RECIPE, example)
    attention = masks.load("mnist_a_fc_3")
    classes = example.classifier.classes
    for name, pixels in (("clean", example.clean), ("adversarial", attacked.adversarial)):
        shown = tiles(app, f"The {name} image, its mask, and what the mask leaves")
        x = images.to_tensor(pixels)
        with torch.no_grad():
            read = classes[int(attention.classify_mask(x).argmax())]
            left = attention.corrupted(x, torch.Generator().manual_seed(1))
            said = classes[int(example.classifier(left).argmax())]
        assert [tile["title"] for tile in shown] == [name, f"{name}, mask", f"{name}, corrupted"]
        assert shown[1]["caption"].startswith(f"f2 reads {read} ")
        assert f" {said} " in shown[2]["caption"]
    with torch.no_grad():
        read = classes[int(attention.classify_mask(images.to_tensor(attacked.adversarial)).argmax())]
    assert verdict(app).startswith(
        f"The classifier sees a{'n' if attacked.prediction.label == 8 else ''} "
    ) or read in verdict(app)


def test_beta_kind_and_noise_change_what_is_shown() -> None:
    app = visit("masks", RECIPE.to_link())
    label = "The clean image, its mask, and what the mask leaves"
    before = [tile["src"] for tile in tiles(app, label)]
    app.slider(key="masks_draw").set_value(7)
    settled(app.run())
    noise = [tile["src"] for tile in tiles(app, label)]
    assert noise[:2] == before[:2] and noise[2] != before[2], "another draw, the same mask"
    app.select_slider(key="masks_beta_mnist_fc").set_value(9.0)
    settled(app.run())
    assert tiles(app, label)[1]["src"] != before[1]
    assert len(tiles(app, "Masks of every β")) == 6
    app.button_group(key="masks_kind_mnist").set_value("conv")
    settled(app.run())
    assert tiles(app, label)[1]["src"] != before[1] and not app.exception
    assert len(app.dataframe[0].value) == 6, "a card for each"


def test_masks_of_another_classifier_are_told_to_be_a_transfer() -> None:
    app = visit("masks", RECIPE.replace(classifier="b").to_link())
    assert any("learnt on Model A" in info.value for info in app.info)


def test_a_domain_without_masks_offers_those_that_have_some() -> None:
    app = visit("masks")
    assert verdict(app) == "No attention masks have been trained for Photographs."
    app.button(key="masks_mnist").click()
    settled(app.run())
    assert app.session_state["recipe"].domain == "mnist" and len(tiles(app, "Masks of every β")) == 6
