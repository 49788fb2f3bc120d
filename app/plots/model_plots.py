"""Plots of several classifiers: accuracy against eps, and the matrix of transfer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.text import per_cent
from core.evaluate.eps_curves import EpsCurves
from core.evaluate.proportion import wilson
from core.evaluate.transfer import TransferAccuracy
from core.figures.budget_axis import budget_scale, eps_title
from core.figures.evaluation import COLORS
from core.figures.models import (
    NO_ATTACK,
    accuracies,
    eps_curves_figure,
    text_color,
    transfer_figure,
)

DASHES = ("solid", "dash", "dot", "dashdot")
FEW = 3  # classifiers whose titles have room under the columns of a narrow screen; more have numbers there
LONGEST = 16  # characters of a line of a tick


def eps_curves_plot(result: EpsCurves, titles: Mapping[str, str], unit: str, *, key: str) -> None:
    """Accuracy against eps with its intervals, a line a classifier; `unit` is that of eps."""
    figure = go.Figure()
    for number, name in enumerate(result.names):
        curve = result.curve(name)
        values = [share.value for share in curve]
        spans = [wilson(share.successes, share.count) for share in curve]
        figure.add_trace(
            go.Scatter(
                x=[eps * budget_scale(unit) for eps in result.eps],
                y=values,
                name=titles[name],
                mode="lines+markers",
                line={"dash": DASHES[number % len(DASHES)], "width": 2, "color": COLORS[number % len(COLORS)]},
                error_y={
                    "array": [high - v for (_, high), v in zip(spans, values, strict=True)],
                    "arrayminus": [v - low for (low, _), v in zip(spans, values, strict=True)],
                    "thickness": 1,
                },
                hovertemplate="%{y:.1%} at eps %{x:.3g}",
            )
        )
    figure.update_xaxes(title=eps_title(unit))
    figure.update_yaxes(title="accuracy", range=[0, 1.02], tickformat=".0%")
    style(figure, height=360 + 20 * len(result.names))  # on a narrow screen each classifier has a line of the legend
    figure.update_layout(showlegend=True, legend={"y": -0.3, "yanchor": "top", "x": 0})
    ends = ", ".join(f"{titles[name]} {per_cent(result.curve(name)[-1].value)}" for name in result.names)
    st.plotly_chart(
        figure,
        key=key,
        config=CONFIG,
        theme="streamlit",
        alt=f"Accuracy by eps; at the largest eps: {ends}",
    )
    save_menu(partial(eps_curves_figure, result, dict(titles), unit), key, "accuracy_by_eps")


def transfer_plot(result: TransferAccuracy, titles: Mapping[str, str], *, key: str) -> None:
    """The accuracies as a heat map with numbers: rows are what the attack was crafted on, columns who judges."""
    values = accuracies(result)
    names = [titles[name] for name in result.names]
    few = len(names) <= FEW
    rows = [NO_ATTACK, *(_broken(name if few else f"{n} {name}") for n, name in enumerate(names, start=1))]
    columns = [_broken(name) if few else str(n) for n, name in enumerate(names, start=1)]
    hover = [
        [f"{'no attack' if n == 0 else f'crafted on {names[n - 1]}'}, judged by {judge}" for judge in names]
        for n in range(len(rows))
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            showscale=False,
            text=hover,
            hovertemplate="%{text}: %{z:.1%}<extra></extra>",
        )
    )
    places = [(row, column) for row in range(len(rows)) for column in range(len(columns))]
    figure.add_trace(
        go.Scatter(
            x=[column for _, column in places],
            y=[row for row, _ in places],
            mode="text",
            text=[f"{100 * values[place]:.0f}" for place in places],
            textfont={"color": [text_color(values[place]) for place in places]},
            hoverinfo="skip",
        )
    )
    style(figure, height=150 + 52 * len(rows))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(
        title="judged by (accuracy in %)",
        tickvals=list(range(len(columns))),
        ticktext=columns,
        zeroline=False,
        tickangle=0,
    )
    figure.update_yaxes(
        title="crafted on",
        tickvals=list(range(len(rows))),
        ticktext=rows,
        zeroline=False,
        range=[len(rows) - 0.5, -0.5],
    )
    white_box = ", ".join(f"{titles[name]} {per_cent(result.accuracy(name, name).value)}" for name in result.names)
    alt = f"Accuracy by the classifier that the attack was crafted on and the one that judges; on itself: {white_box}"
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(transfer_figure, result, dict(titles)), key, "transfer")


def _broken(title: str) -> str:
    """The title in lines that fit a cell."""
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LONGEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)
