"""The Defend screen."""

from __future__ import annotations

import re

from core import Recipe
from core.recipe import Method
from tests.core.test_plugins import plugins  # noqa: F401  (a fixture)
from tests.pages.visits import settled, tiles, verdict, visit

ROW = "Defended images"


def test_three_defenses_stand_beside_the_bare_classifier() -> None:
    app = visit("defend")
    row = tiles(app, ROW)
    assert len(row) == 4
    assert row[0]["title"] == "no defense" and row[0]["caption"].startswith("✗")
    back = sum(tile["caption"].startswith("✓ cat") for tile in row[1:])
    assert f" {back} of 3 defenses bring" in verdict(app)
    assert verdict(app).startswith("Against an attacker who knows them"), "the worst case comes first, without a click"
    assert len({tile["src"] for tile in row}) == 4
    assert len(tiles(app, "What each defense changed")) == 4


def test_the_attacker_who_knows_attacks_each_column_anew() -> None:
    app = visit("defend")
    grey = [tile["src"] for tile in tiles(app, ROW)]
    app.segmented_control(key="attacker").set_value("adaptive")
    settled(app.run())
    row = tiles(app, ROW)
    assert all(new["src"] != old for new, old in zip(row[1:], grey[1:], strict=True))
    stand = sum(tile["caption"].startswith("✓") for tile in row[1:])
    assert re.match(
        rf"Against an attacker who knows them, {stand} of 3 defenses keeps? the cat\. \d of 3 defenses brings? the cat back",
        verdict(app),
    )
    table = app.dataframe[0].value
    assert list(table.columns) == ["Defense", "Adaptive", "Grey box", "Clean", "Time"]
    assert app.session_state["recipe"].attacker == "adaptive"


def test_columns_are_added_chained_and_removed() -> None:
    app = visit("defend")
    app.selectbox(key="add_name_photos").set_value("tv").run()
    app.button(key="add").click()
    settled(app.run())
    assert len(tiles(app, ROW)) == 5
    app.selectbox(key="then_0").set_value("lgs").run()
    app.button(key="behind_0").click()
    settled(app.run())
    assert [m.name for m in app.session_state["recipe"].defenses[0]] == ["jpeg", "lgs"]
    assert "→" in tiles(app, ROW)[1]["title"] or tiles(app, ROW)[1]["title"] == "Chain"
    app.button(key="remove_1").click()
    settled(app.run())
    assert [column[0].name for column in app.session_state["recipe"].defenses] == ["jpeg", "lgs", "tv"]
    assert len(tiles(app, ROW)) == 4


def test_a_parameter_changes_its_column() -> None:
    app = visit("defend")
    before = tiles(app, ROW)
    app.slider(key="column_0_0_1_jpeg_quality").set_value(5)
    settled(app.run())
    after = tiles(app, ROW)
    assert after[1]["src"] != before[1]["src"]
    assert after[2]["src"] == before[2]["src"]
    assert app.session_state["recipe"].defenses[0][0].params == {"quality": 5}


def test_a_sweep_draws_one_image_per_value() -> None:
    app = visit("defend")
    row = tiles(app, "jpeg over quality")  # it begins with the first column's defense
    assert len(row) == 7
    assert len({tile["src"] for tile in row}) == 7
    app.selectbox(key="sweep_name").set_value("bitdepth")
    settled(app.run())
    said = [caption.value for caption in app.caption if "behind this defense alone" in caption.value]
    assert len(said) == 1 and "PhotoNet" in said[0] and "vote" not in said[0]
    row = tiles(app, "bitdepth over bits")
    assert len(row) == 8
    assert len({tile["src"] for tile in row}) == 8


def test_a_new_defense_reaches_the_screen(plugins: None) -> None:  # noqa: F811
    recipe = Recipe(defenses=((Method(name="lighten", params={"amount": 0.2}),),))
    app = visit("defend", recipe.to_link())
    assert tiles(app, ROW)[1]["title"].startswith("Lighten")
    assert "Lighten" in app.selectbox(key="add_name_photos").options


def test_a_removed_column_leaves_the_others_as_they_were() -> None:
    columns = ((Method(name="jpeg", params={"quality": 30}),), (Method(name="jpeg", params={"quality": 80}),))
    app = visit("defend", Recipe(attack=Method(name="fgsm"), defenses=columns).to_link())
    app.button(key="remove_0").click().run()
    settled(app)
    assert [m.params for column in app.session_state["recipe"].defenses for m in column] == [{"quality": 80}]
    assert app.slider(key="column_0_0_1_jpeg_quality").value == 80
