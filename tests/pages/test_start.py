"""The first screen, on a bare machine."""

from __future__ import annotations

from core import Recipe
from core.recipe import ImageRef
from tests.pages.visits import tiles, verdict, visit


def test_the_first_screen_has_an_image_a_classifier_an_attack_and_three_defenses() -> None:
    app = visit()
    assert verdict(app).startswith("The classifier sees a cat (")
    assert [tile["title"] for tile in tiles(app, "The image")] == ["The image"]
    glance = tiles(app, "One attack and the defenses against it")
    assert len(glance) == 4
    assert "PGD" in glance[0]["title"]
    assert glance[0]["caption"].startswith("✗")
    assert all(tile["caption"][0] in "✓✗" for tile in glance)
    assert app.selectbox(key="side_domain").value == "photos"


def test_three_doors_lead_onward() -> None:
    app = visit()
    assert {"door_attack", "door_defend", "door_upload"} <= {button.key for button in app.button}
    app.button(key="door_upload").click().run()
    assert app.get("file_uploader")


def test_a_link_opens_its_recipe_and_a_damaged_one_says_so() -> None:
    app = visit(recipe=Recipe(image=ImageRef(name="rocket")).to_link())
    assert "a rocket" in verdict(app)
    for word in ("damaged!", "a" * 10_000, Recipe().to_link()[:-3] + "%"):
        broken = visit(recipe=word)
        assert "cat" in verdict(broken)
        assert len(broken.warning) == 1
        assert "link" in broken.warning[0].value or "recipe" in broken.warning[0].value


def test_the_sidebar_changes_the_recipe() -> None:
    app = visit()
    app.selectbox(key="side_domain").set_value("mnist").run()
    assert "stand in" in app.info[0].value
    assert "The classifier sees a" in verdict(app)
    app.number_input(key="side_seed").set_value(7).run()
    assert app.session_state["recipe"].seed == 7
    assert Recipe.from_link(app.query_params["recipe"]) == app.session_state["recipe"]


def test_an_image_from_the_gallery_by_its_thumbnail() -> None:
    app = visit()
    app.session_state["gallery_photos"] = {"chosen": "coffee"}
    app.run()
    names = {item["name"] for item in _gallery(app)}
    assert "coffee" in names and len(names) == 17


def _gallery(app: object) -> list[dict[str, str]]:
    import json

    for element in app.get("bidi_component"):  # type: ignore[attr-defined]
        data = json.loads(element.proto.json)
        if "chosen" in data:
            return list(data["items"])
    raise AssertionError("no gallery")
