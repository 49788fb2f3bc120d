"""A learned defense on the screens: offered where it fits, and left out with a sentence where the domain changes."""

from __future__ import annotations

import pytest

from core import Recipe
from tests.core.defenses.test_learned import BLUR, denoiser, folder  # noqa: F401  (fixtures)
from tests.pages.visits import settled, tiles, visit

ROW = "Defended images"


@pytest.mark.usefixtures("denoiser")
def test_defend_and_evaluate_offer_it_for_its_domain_and_another_domain_leaves_it_out() -> None:
    recipe = Recipe(domain="mnist", defenses=BLUR, attacker="grey")
    app = visit("defend", recipe.to_link())
    assert "Learned blur" in app.selectbox(key="add_name_mnist").options
    assert [tile["title"] for tile in tiles(app, ROW)][1].startswith("Learned blur")
    app.switch_page("pages/evaluate.py").run()
    assert "Learned blur (weights digits)" in next(m for m in app.multiselect if m.label == "Defenses").options
    app.selectbox(key="side_domain").set_value("cifar10")
    settled(app.run())
    assert app.session_state["recipe"].defenses == () and app.session_state["recipe"].domain == "cifar10"
    assert any("Learned blur is not for CIFAR-10, and left out" in str(said.value) for said in app.warning)
    app.switch_page("pages/defend.py").run()
    assert "Learned blur" not in app.selectbox(key="add_name_cifar10").options
