"""Feature noise on the screen: how large a change is at every depth of the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite

import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.text import per_cent
from core.figures.colors import GRAY
from core.figures.feature_noise import Line, feature_noise_figure, labeled, short_name


def feature_noise_plot(stages: Sequence[str], lines: Sequence[Line], at: int, *, key: str) -> None:
    """Relative noise against depth, one line an image; the chosen layer is marked."""
    figure = go.Figure()
    places = list(range(len(stages)))
    for name, values, color, dash in lines:
        figure.add_trace(
            go.Scatter(
                x=places,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": color, "dash": dash, "width": 2},
                marker={"size": 5},
                customdata=[[stage, per_cent(value)] for stage, value in zip(stages, values, strict=True)],
                hovertemplate="%{customdata[0]}: %{customdata[1]}<extra>" + name + "</extra>",
            )
        )
    figure.add_vline(x=at, line={"color": GRAY, "width": 1, "dash": "dot"})
    style(figure, height=340)
    figure.update_layout(hovermode="closest", legend={"y": 1.02, "yanchor": "bottom"})
    some = labeled(stages)
    figure.update_xaxes(
        tickvals=places[some], ticktext=[short_name(stage) for stage in stages[some]], tickangle=-45, showgrid=False
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="relative noise")
    alt = "Relative noise by depth"
    known = [line for line in lines if isfinite(line[1][-1])]
    if known:
        worst = max(known, key=lambda line: line[1][-1])
        alt += f"; at the logits the largest is {worst[0]} with {per_cent(worst[1][-1])}"
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(feature_noise_figure, stages, lines), key, "feature_noise")
