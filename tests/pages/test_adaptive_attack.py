"""The Attack page where the attacker knows a defense: the link, the control, the verdict and the image."""

from __future__ import annotations

import base64

import numpy as np

from core import Recipe, images, run
from core.recipe import Method
from tests.pages.visits import attacker_of, settled, tiles, verdict, visit

ROW = "clean plus change is adversarial"
RECIPE = Recipe(
    domain="mnist",
    attack=Method(name="pgd", params={"eps": "60/255", "steps": 4}),
    defenses=((Method(name="median"),), (Method(name="random_resize"), Method(name="bitdepth"))),
    attacker="adaptive",
    known_defense=1,
)


def shown(app: object) -> np.ndarray:
    source = tiles(app, ROW)[2]["src"]  # type: ignore[arg-type]
    return images.decode(base64.b64decode(source.partition(",")[2]))


def test_a_link_opens_the_attack_on_the_defense_that_it_names() -> None:
    app = visit("attack", RECIPE.to_link())
    assert attacker_of(app).value == 1
    column = run(RECIPE, device="cpu").columns[1]
    assert column.adaptive is not None and column.adaptive.attack is not None
    wanted = column.adaptive.attack.adversarial
    assert np.array_equal(shown(app), np.broadcast_to(wanted, shown(app).shape))
    assert "the classifier stands behind Random resize and pad" in verdict(app).replace("Here the", "the")
    assert "and the attacker knows it." in verdict(app)
    rows = {row[""]: row["value"] for row in app.dataframe[0].value.to_dict("records")}
    assert "adaptive, backward: average" in rows["attacker"]


def test_the_control_changes_the_attacker_and_the_link() -> None:
    app = visit("attack", RECIPE.replace(attacker="grey", known_defense=0).to_link())
    assert attacker_of(app).value == -1 and "attacker knows" not in verdict(app)
    bare = shown(app)
    attacker_of(app).set_value(0)
    settled(app.run())
    app.button(key="run").click()
    settled(app.run())
    assert "stands behind Median filter" in verdict(app)
    recipe = Recipe.from_link(app.query_params["recipe"])
    assert (recipe.attacker, recipe.known_defense) == ("adaptive", 0)
    column = run(recipe, device="cpu").columns[0]
    assert column.adaptive is not None and column.adaptive.attack is not None
    assert np.array_equal(shown(app)[..., :1], column.adaptive.attack.adversarial)
    assert not np.array_equal(shown(app), bare)
    attacker_of(app).set_value(-1)
    settled(app.run())
    assert np.array_equal(shown(app), bare), "what was computed before is there again"
    assert Recipe.from_link(app.query_params["recipe"]).attacker == "grey"
