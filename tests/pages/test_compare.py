"""The Compare screen."""

from __future__ import annotations

import re

from core import domains
from core.recipe import ComparisonSpec, ImageRef, Method, Recipe
from tests.pages.visits import settled, tiles, verdict, visit

MADE = "What each attack made"


def test_attacks_stand_beside_each_other_without_a_click() -> None:
    app = visit("compare")
    assert re.fullmatch(
        r"\d of 5 attacks fool the classifier \(eps 8/255 where an attack has one\); .* changes the image least \(L2 .*\)\.",
        verdict(app),
    )
    made = tiles(app, MADE)
    assert [tile["title"] for tile in made] == ["FGSM", "PGD", "Square", "DeepFool", "JSMA"]
    assert all(re.match("[✓✗] ", tile["caption"]) for tile in made)
    table = app.dataframe[0].value.set_index("Attack")
    assert table.loc["FGSM", "Gradients"] == 1 and table.loc["Square", "Gradients"] == 0
    assert table.loc["Square", "Queries"] == 42  # 40, the clean image, and the verdict
    assert table.loc["JSMA", "L0"] < table.loc["DeepFool", "L0"] < table.loc["FGSM", "L0"]
    assert table.loc["PGD", "L∞"] == "8/255"


def test_the_budget_is_the_same_for_all_and_waits_for_run() -> None:
    app = visit("compare", Recipe(comparison=ComparisonSpec(attacks=("pgd", "square"), steps=3)).to_link())
    before = tiles(app, MADE)[0]["src"]
    app.slider(key="comparison_eps").set_value(2.0)
    settled(app.run())
    assert tiles(app, MADE)[0]["src"] == before and any("Press Run" in info.value for info in app.info)
    app.button(key="run_comparison").click()
    settled(app.run())
    assert tiles(app, MADE)[0]["src"] != before
    table = app.dataframe[0].value.set_index("Attack")
    assert table.loc["PGD", "L∞"] == "2/255" and table.loc["Square", "Queries"] == 5
    assert app.session_state["recipe"].comparison == ComparisonSpec(attacks=("pgd", "square"), eps=2 / 255, steps=3)


def test_the_worst_case_is_one_button() -> None:
    app = visit("compare", Recipe(comparison=ComparisonSpec(attacks=("fgsm",), steps=5)).to_link())
    app.button(key="worst").click()
    settled(app.run())
    assert [tile["title"] for tile in tiles(app, MADE)] == ["FGSM", "Worst case"]
    assert not [button for button in app.button if button.key == "worst"]


def test_a_warning_teaches() -> None:
    # One step of a quarter of eps is less than one step of eps: the iterated attack looks weaker than it is.
    weak = Recipe(comparison=ComparisonSpec(attacks=("fgsm", "bim"), eps=8 / 255, steps=1))
    app = visit("compare", weak.to_link())
    assert [e.label for e in app.expander if "One step" in e.label] == ["One step did better than many"]
    text = " ".join(m.value for m in app.markdown)
    assert "Raised because." in text and "FGSM fooled 1 of 1, BIM fooled 0 of 1" in text


def test_no_attack_is_no_choice() -> None:
    app = visit("compare", Recipe(comparison=ComparisonSpec(attacks=("fgsm",))).to_link())
    app.multiselect(key="comparison_attacks").set_value([])
    settled(app.run())
    assert any("at least one attack" in caption.value for caption in app.caption)
    assert [tile["title"] for tile in tiles(app, MADE)] == ["FGSM"]


def test_one_classifier_cannot_transfer_and_two_can() -> None:
    app = visit("compare", Recipe(comparison=ComparisonSpec(attacks=("fgsm",))).to_link())
    assert any("has one classifier here" in caption.value for caption in app.caption)
    digits = Recipe(
        domain="mnist",
        image=ImageRef(),
        attack=Method(name="fgsm", params={"eps": 0.3}),
        comparison=ComparisonSpec(attacks=("fgsm",)),
    )
    app = visit("compare", digits.to_link())
    app.button(key="transfer").click()
    settled(app.run())
    matrix = app.dataframe[1].value
    assert list(matrix["Made on"]) == list(matrix.columns[1:]) and len(matrix) == len(
        domains.get("mnist").classifier_names()
    )
    assert all(re.match("[✓✗] ", cell) for cell in matrix.iloc[:, 1:].to_numpy().ravel())


def test_mnist_is_compared_at_its_own_eps_and_fractions_of_a_gray_level_are_explained() -> None:
    app = visit("compare", Recipe(domain="mnist", comparison=ComparisonSpec(attacks=("fgsm",), steps=1)).to_link())
    slider = app.slider(key="comparison_eps")
    assert (slider.label, slider.value, slider.max) == ("eps", 0.3, 0.5)
    assert any("76.5 gray levels: the 8-bit image changes by up to 77/255" in caption.value for caption in app.caption)
    assert app.dataframe[0].value.set_index("Attack").loc["FGSM", "L∞"] == "0.302"
    app.selectbox(key="side_domain").set_value("photos").run()
    settled(app)
    slider = app.slider(key="comparison_eps")
    assert (slider.label, slider.value, slider.max) == ("eps (n/255)", 8.0, 32.0)
    slider.set_value(0.5).run()
    assert any("by up to 1/255, more than eps" in caption.value for caption in app.caption)
    assert app.session_state["recipe"].comparison.eps == 0.5 / 255
