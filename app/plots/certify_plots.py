"""Certificates on the screen: the bound and the best attack against the budget."""

from __future__ import annotations

from functools import partial
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.text import budget, per_cent
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.proportion import wilson
from core.figures.budget_axis import budget_scale, budget_title
from core.figures.certification import (
    DASHES,
    GAP,
    accuracy_curves,
    certified_accuracy_figure,
    margin_figure,
    margin_range,
)
from core.figures.colors import ADVERSARIAL, CLEAN, GRAY

SHADE = "rgba(138,143,152,.3)"


def margin_plot(result: CertifiedImage, unit: str, *, key: str) -> None:
    """The lower bounds of the margin, the smallest attacked margin, and the gap between them."""
    figure = go.Figure()
    budgets = result.budgets * budget_scale(unit)
    low, high = margin_range(result)
    if len(result.attacked):
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([budgets, budgets[::-1]]),
                y=np.concatenate([result.attacked, result.best_bound[::-1]]),
                fill="toself",
                fillcolor=SHADE,
                line={"width": 0},
                mode="lines",
                name=GAP,
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=budgets,
                y=result.attacked,
                name=f"best of {result.attacks}",
                mode="lines+markers",
                line={"color": ADVERSARIAL, "width": 2},
            )
        )
    for (name, values), (dash, _) in zip(result.bounds.items(), cycle(DASHES)):
        figure.add_trace(
            go.Scatter(x=budgets, y=values, name=name, mode="lines", line={"color": CLEAN, "dash": dash, "width": 2})
        )
    figure.add_hline(y=0, line={"color": GRAY, "width": 1})
    style(figure, height=400)
    figure.update_layout(legend={"y": -0.24, "x": 0, "yanchor": "top", "orientation": "v"})
    figure.update_xaxes(title=budget_title(result.unit, unit))
    figure.update_yaxes(title="margin of the class", range=[low, high])
    largest = budget(float(result.budgets[-1]), unit)
    alt = f"Margin against the budget up to {largest}: certified at least {result.best_bound[-1]:.2f} there" + (
        f", attacked {result.attacked[-1]:.2f}" if len(result.attacked) else ""
    )
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(margin_figure, result, unit), key, "certified_margin")


def certified_accuracy_plot(certified_sets: dict[str, CertifiedSet], unit: str, *, key: str) -> None:
    """Certified and attacked accuracy against the budget of one or two classifiers by their titles, with their intervals."""
    figure = go.Figure()
    for name, budgets, shares, color, dash, marker in accuracy_curves(certified_sets):
        spans = [wilson(share.successes, share.count) for share in shares]
        values = [share.value for share in shares]
        figure.add_trace(
            go.Scatter(
                x=budgets * budget_scale(unit),
                y=values,
                name=name,
                mode="lines+markers" if len(shares) < 12 else "lines",
                line={"color": color, "dash": dash, "width": 2},
                marker={"symbol": marker, "size": 8},
                error_y={
                    "array": [high - value for (_, high), value in zip(spans, values, strict=True)],
                    "arrayminus": [value - low for (low, _), value in zip(spans, values, strict=True)],
                    "thickness": 1,
                },
            )
        )
    style(figure, height=400)
    first = next(iter(certified_sets.values()))
    figure.update_layout(legend={"y": -0.24, "x": 0, "yanchor": "top", "orientation": "v"})
    figure.update_xaxes(title=budget_title(first.unit, unit))
    attacked = any(result.attacked for result in certified_sets.values())
    figure.update_yaxes(title="accuracy" if attacked else "certified accuracy", range=[0, 1.02], tickformat=".0%")
    alt = "; ".join(
        f"{title}, accuracy up to {budget(float(result.budgets[-1]), unit)}: certified {per_cent(result.certified[-1].value)} there"
        + (f", under attack {per_cent(result.attacked[-1].value)}" if result.attacked else "")
        for title, result in certified_sets.items()
    )
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(certified_accuracy_figure, certified_sets, unit), key, "certified_accuracy")
