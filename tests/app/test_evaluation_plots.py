"""The matrices of Evaluate: colors that can be read on, and confusion matrices of any size."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.plots.evaluation_plots import MAX_TICKS, cell_style, column_label
from core.evaluate import NO_ATTACK, CellKey, Plan
from core.figures.evaluation import MAX_NAME
from core.recipe import Method
from core.recipe.columns import MemberSpec, column_of


def luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("value", np.linspace(0, 1, 41).round(3).tolist())
def test_a_shares_words_can_be_read_on_its_color(value: float) -> None:
    words = dict(part.split(": ") for part in cell_style(value).split("; "))
    light, dark = sorted((luminance(words["color"]), luminance(words["background-color"])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_long_columns_title_begins_with_what_the_attacker_knows() -> None:
    certified = column_of((MemberSpec(classifier="mlp_certified"),))
    plan = Plan(domain="mnist", defenses=((Method(name="median"),), certified))
    labels = [column_label(plan, CellKey(0, 0, n, who)) for n in (0, 1) for who in ("grey", "adaptive")]
    title = plan.defense_title(1)
    assert labels == [
        "Median filter (not known)",
        "Median filter (known)",
        f"not known: {title}",
        f"known: {title}",
    ]
    assert column_label(plan, CellKey(0, NO_ATTACK, 1, "none")) == title


def screen(classes: int) -> None:
    import numpy as np
    import streamlit as st

    from app.plots.evaluation_plots import confusion_plot

    chance = np.random.default_rng(0)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (chance.integers(0, classes, 60), chance.integers(0, classes, 60)), 1)
    names = [f"class {n}" for n in range(classes)]
    picked = confusion_plot(counts, names, range(classes), "true class", "prediction", key="plot")
    st.write(f"picked {picked}")
    st.session_state.total = int(counts.sum())


@pytest.mark.parametrize("classes", [3, 10, 60, 1000])
def test_every_pair_that_occurs_can_be_hovered_and_clicked(classes: int) -> None:
    app = AppTest.from_function(screen, args=(classes,)).run()
    traces = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    marks = next(t for t in traces if t.get("mode") == "markers")
    custom = marks["customdata"]
    assert sum(count for _, _, count in custom) == app.session_state["total"] == 60
    assert all(
        f"class {row}<br>" in text and f"class {column}<br>" in text
        for (row, column, _), text in zip(custom, marks["text"], strict=True)
    )
    assert (len(traces) == 3) == (classes <= 40), "small ones have cells with their numbers, large ones marks"
    app.session_state["plot"] = {
        "selection": {"points": [{"customdata": custom[5]}], "point_indices": [], "box": [], "lasso": []}
    }
    app.run()
    assert app.markdown[0].value == f"picked ({custom[5][0]}, {custom[5][1]})"


def crowd(pairs: int) -> None:
    """Many classes, two of the same name and all long, of which some occur."""
    import numpy as np

    from app.plots.evaluation_plots import confusion_plot

    chance = np.random.default_rng(0)
    counts = np.zeros((1000, 1000), np.int64)
    np.add.at(counts, (chance.integers(0, 1000, pairs), chance.integers(0, 1000, pairs)), 1)
    counts[134, 517] += 1
    names = ["crane" if n in (134, 517) else f"a class with a long name, {n}" for n in range(1000)]
    confusion_plot(counts, names, range(1000), "true class", "prediction", key="plot")


@pytest.mark.parametrize("pairs", [10, 300])
def test_of_many_classes_those_that_occur_are_named_at_the_sides(pairs: int) -> None:
    app = AppTest.from_function(crowd, args=(pairs,)).run()
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    marks = next(t for t in spec["data"] if t.get("mode") == "markers")
    rows = {row for row, _, _ in marks["customdata"]} | {column for _, column, _ in marks["customdata"]}
    for axis in ("xaxis", "yaxis"):
        layout = spec["layout"][axis]
        named = layout["ticktext"] if pairs == 10 else layout["categoryarray"]
        assert len(named) == len(rows) == len(set(named)) and {"crane (134)", "crane (517)"} <= set(named)
        assert all(len(name) <= MAX_NAME + 6 for name in named)
        if pairs == 300:  # they thin themselves out, and are placed by their names
            assert layout["type"] == "category" and layout["nticks"] == MAX_TICKS < len(named)
            assert set(marks[axis[0]]) <= set(named)
            low, high = sorted(layout["range"])
            assert (low, high) == (-0.5, len(named) - 0.5)
    assert any("true class a class with a long name, " in text for text in marks["text"]), "hovering gives whole names"
