"""Several images behind every defense: the cells are those of Defend, and the figure shows them."""

from __future__ import annotations

import numpy as np

from core import Recipe, domains, run
from core.analysis.defense_grid import defense_grid
from core.domains.image_ref import ImageRef
from core.figures.defense_grid import defense_grid_figure
from core.figures.rendering import render
from core.recipe import Method

RECIPE = Recipe(
    domain="mnist",
    classifier="digits",
    attack=Method(name="fgsm", params={"eps": 0.2}),
    defenses=((Method(name="median"),), (Method(name="jpeg"), Method(name="bitdepth"))),
    attacker="both",
)


def test_each_row_is_what_defend_shows_of_that_image() -> None:
    outcomes = defense_grid(RECIPE, 2, device="cpu")
    assert outcomes is not None and len(outcomes) == 2
    items = domains.get("mnist").gallery()
    alone = run(RECIPE.replace(image=ImageRef(name=items[1].name), attacker="grey"), device="cpu")
    second = outcomes[1]
    assert np.array_equal(second.attacked.adversarial, alone.attacked.adversarial)
    assert [c.grey.prediction for c in second.columns if c.grey] == [c.grey.prediction for c in alone.columns if c.grey]
    assert all(column.adaptive is None for column in second.columns), "grey box, whatever the recipe's attacker"
    assert [outcome.label for outcome in outcomes] == [item.label for item in items[:2]]


def test_it_can_be_stopped_and_takes_no_more_than_the_gallery_has() -> None:
    calls: list[str] = []
    assert (
        defense_grid(RECIPE, 2, device="cpu", on_progress=lambda step: calls.append(step.text) or len(calls) > 1)
        is None
    )
    assert calls[0] == "image 1 of 2"
    short = RECIPE.replace(attack=Method(name="uniform_noise"), defenses=((Method(name="bitdepth"),),))
    outcomes = defense_grid(short, 99, device="cpu")
    assert outcomes is not None and len(outcomes) == 10


def test_the_figure_has_a_row_for_each_image_and_a_column_for_each_defense() -> None:
    outcomes = defense_grid(RECIPE, 2, device="cpu")
    assert outcomes is not None
    figure = defense_grid_figure(outcomes)
    assert len(figure.axes) == 2 * 4
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[0] == "clean" and "Median" in titles[2]
    shown = figure.axes[4].images[0].get_array()
    assert np.array_equal(np.asarray(shown), outcomes[1].clean.squeeze())
    right = outcomes[0].clean_prediction.label == outcomes[0].label
    assert figure.axes[0].get_xlabel().startswith("✓" if right else "✗")
    assert render(lambda: defense_grid_figure(outcomes), "svg").count(b"<image") == 8
