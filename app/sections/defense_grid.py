"""Several images of the gallery beside each other: clean, attacked, and behind each defense."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import theme
from app.components.image_row import Tile, row
from app.plots.attack_plots import save_menu
from app.runtime import progress
from app.state import result_keys, results
from app.text import attacked_title, prediction
from core import domains
from core.analysis.defense_grid import defense_grid
from core.figures.defense_grid import defense_grid_figure
from core.recipe import Example, Outcome, Recipe

N_IMAGES = 4


def show_defense_grid(recipe: Recipe, example: Example, *, waits: bool) -> None:
    """A button that makes the figure, and the figure; it `waits` while the comparison runs, because a user has one job at a time."""
    st.subheader("Several images", anchor=False)
    key = result_keys.defense_grid(recipe, N_IMAGES)
    if results.get(key) is None and st.session_state.get("defense_grid") != str(key):
        st.caption(f"The same attack and defenses on {N_IMAGES} images of the gallery, as a figure.")
        if st.button("Make the figure", key="make_defense_grid", icon=":material/grid_view:", disabled=waits):
            st.session_state.defense_grid = str(key)
            st.rerun()
        return
    outcomes = progress.run_cached(
        key,
        "several images",
        lambda on_progress: defense_grid(
            recipe, N_IMAGES, classifier=example.classifier, classifiers=example.load, on_progress=on_progress
        ),
    )
    if outcomes is None:
        return
    for number, outcome in enumerate(outcomes):
        row(tiles(outcome), key=f"grid_{number}", label=f"Image {number + 1} and every defense", width=110)
    save_menu(partial(defense_grid_figure, outcomes), "defense_grid_figure", "defenses")
    st.caption(
        f"{theme.plain(outcomes[0].attacked.method)} on {theme.plain(example.classifier.title)}, seed {recipe.seed}, "
        "the first images of the "
        f"gallery of {domains.get(recipe.domain).title}. The attacker does not know the defenses (grey box)."
    )


def tiles(outcome: Outcome) -> list[Tile]:
    """One image in every form."""
    classes, label = outcome.classes, outcome.known_label
    shown = [
        Tile(
            outcome.clean, "clean", prediction(outcome.clean_prediction, classes, label), "clean", file_name="clean.png"
        ),
        Tile(
            outcome.attacked.adversarial,
            attacked_title(outcome.attacked),
            prediction(outcome.attacked.prediction, classes, label),
            "adversarial",
            file_name="adversarial.png",
        ),
    ]
    for number, column in enumerate(outcome.columns):
        if column.grey is not None:
            words = prediction(column.grey.prediction, classes, label)
            shown.append(
                Tile(column.grey.defended, column.short_title, words, "defended", file_name=f"defended_{number}.png")
            )
    return shown
