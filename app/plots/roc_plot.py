"""Detectors on the screen: their curves for both attackers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from core.evaluate.roc import Roc
from core.figures.colors import GRAY
from core.figures.roc import STYLES, area_text, operating_point, roc_figure


def roc_plot(curves: Mapping[str, Roc], threshold: float, *, key: str) -> None:
    """True positives against false positives for both attackers; a point where the threshold stands."""
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": GRAY, "width": 1, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    for name, curve in curves.items():
        color, dash, _ = STYLES[name]
        figure.add_trace(
            go.Scatter(
                x=curve.false_positives,
                y=curve.true_positives,
                name=f"{name}: {area_text(curve)}",
                mode="lines",
                line={"color": color, "dash": dash, "width": 2},
                customdata=curve.thresholds,
                hovertemplate="threshold %{customdata:.3g}: %{y:.0%} of the attacked, %{x:.0%} of the clean<extra></extra>",
            )
        )
        x, y = operating_point(curve, threshold)
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[y],
                mode="markers",
                marker={"size": 11, "color": color, "symbol": "circle-open", "line": {"width": 3}},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    style(figure, height=380)
    figure.update_layout(legend={"y": -0.24, "x": 0, "yanchor": "top", "orientation": "v"})
    figure.update_xaxes(range=[-0.01, 1.01], tickformat=".0%", title="clean images flagged")
    figure.update_yaxes(range=[-0.01, 1.02], tickformat=".0%", title="fooling images flagged")
    alt = "ROC curves; " + "; ".join(f"{name}: {area_text(curve)}" for name, curve in curves.items())
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(roc_figure, dict(curves), threshold), key, "roc")
