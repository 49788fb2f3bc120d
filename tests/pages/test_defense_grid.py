"""The figure of several images on Defend."""

from __future__ import annotations

from core import Recipe
from core.recipe import Method
from tests.pages.visits import settled, tiles, visit

RECIPE = Recipe(
    domain="mnist",
    classifier="digits",
    attack=Method(name="fgsm", params={"eps": 0.2}),
    defenses=((Method(name="bitdepth"),), (Method(name="jpeg"),)),
)


def test_one_click_makes_rows_of_images_and_a_figure_to_save() -> None:
    app = visit("defend", RECIPE.to_link())
    app.button(key="make_defense_grid").click()
    settled(app.run())
    for number in (1, 4):
        shown = tiles(app, f"Image {number} and every defense")
        assert shown[0]["title"] == "clean" and len(shown) == 4
        assert shown[1]["title"].startswith("adversarial") and shown[3]["title"].startswith("JPEG")
    assert any(element.label == "PDF" for element in app.get("download_button"))
    assert not [button for button in app.button if button.key == "make_defense_grid"]
