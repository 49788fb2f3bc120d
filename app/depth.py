"""Feature noise on the screen: how large a change is at every depth of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite

import plotly.graph_objects as go
import streamlit as st
from matplotlib.figure import Figure

from app.plots import CONFIG, saves, style
from app.words import per_cent

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
SHUFFLED = "#8a8f98"
LABELS = 24
COLOURS = ("#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#0072B2", "#009E73")

Line = tuple[str, Sequence[float], str, str]  # its name, its values by depth, its colour, its dash


def depth_plot(stages: Sequence[str], lines: Sequence[Line], at: int, *, key: str) -> None:
    """Relative noise against depth, one line a picture; the chosen layer is marked."""
    figure = go.Figure()
    places = list(range(len(stages)))
    for name, values, colour, dash in lines:
        figure.add_trace(
            go.Scatter(
                x=places,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"size": 5},
                customdata=[[stage, per_cent(value)] for stage, value in zip(stages, values, strict=True)],
                hovertemplate="%{customdata[0]}: %{customdata[1]}<extra>" + name + "</extra>",
            )
        )
    figure.add_vline(x=at, line={"color": SHUFFLED, "width": 1, "dash": "dot"})
    style(figure, height=340)
    figure.update_layout(hovermode="closest", legend={"y": 1.02, "yanchor": "bottom"})
    some = slice(None, None, -(-len(stages) // LABELS))  # of a deep network not every layer's name has room
    figure.update_xaxes(
        tickvals=places[some], ticktext=[_short(stage) for stage in stages[some]], tickangle=-45, showgrid=False
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="relative noise")
    alt = "Relative noise by depth"
    known = [line for line in lines if isfinite(line[1][-1])]
    if known:
        worst = max(known, key=lambda line: line[1][-1])
        alt += f"; at the logits the largest is {worst[0]} with {per_cent(worst[1][-1])}"
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    saves(partial(_figure, stages, lines), key, "feature_noise")


def _short(stage: str) -> str:
    return stage if len(stage) <= 18 else "…" + stage[-17:]


def _figure(stages: Sequence[str], lines: Sequence[Line]) -> Figure:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values, colour, dash in lines:
        axes.plot(range(len(stages)), values, color=colour, linestyle=MARKS[dash], label=name, marker=".")
    some = slice(None, None, -(-len(stages) // LABELS))
    axes.set_xticks(
        range(len(stages))[some], [_short(stage) for stage in stages[some]], rotation=60, ha="right", fontsize=7
    )
    axes.set(ylabel="relative noise", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return figure


def lines_of(found: Mapping[str, Sequence[float]], attacks: Sequence[str], shuffled: str) -> list[Line]:
    """The colour says the attack, the dash the defense; names are 'attack' or 'attack + defense'."""
    behind: dict[str, int] = {}
    lines: list[Line] = []
    for name, values in found.items():
        if name == shuffled:
            lines.append((name, values, SHUFFLED, "solid"))
            continue
        attack = max((one for one in attacks if name == one or name.startswith(f"{one} + ")), key=len)
        defense = name[len(attack) + 3 :]
        dash = DASHES[behind.setdefault(defense, len(behind) + 1) % len(DASHES)] if defense else "solid"
        lines.append((name, values, COLOURS[attacks.index(attack) % len(COLOURS)], dash))
    return lines
