"""Detectors on the screen: their curves for both attackers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from matplotlib.figure import Figure

from app.palettes import BLUE, VERMILION
from app.plots import CONFIG, saves, style
from core.evaluate.roc import Roc

LOOKS = {
    "does not know it": (BLUE, "solid", "-"),
    "knows it": (VERMILION, "dash", "--"),
}


def roc_plot(curves: Mapping[str, Roc], threshold: float, *, key: str) -> None:
    """True positives against false positives for both attackers; a point where the threshold stands."""
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": "#8a8f98", "width": 1, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    for name, curve in curves.items():
        colour, dash, _ = LOOKS[name]
        figure.add_trace(
            go.Scatter(
                x=curve.false_positives,
                y=curve.true_positives,
                name=f"{name}: {area_words(curve)}",
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2},
                customdata=curve.thresholds,
                hovertemplate="threshold %{customdata:.3g}: %{y:.0%} of the attacked, %{x:.0%} of the clean<extra></extra>",
            )
        )
        x, y = at(curve, threshold)
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[y],
                mode="markers",
                marker={"size": 11, "color": colour, "symbol": "circle-open", "line": {"width": 3}},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    style(figure, height=380)
    figure.update_layout(legend={"y": -0.24, "x": 0, "yanchor": "top", "orientation": "v"})
    figure.update_xaxes(range=[-0.01, 1.01], tickformat=".0%", title="clean pictures flagged")
    figure.update_yaxes(range=[-0.01, 1.02], tickformat=".0%", title="fooling pictures flagged")
    alt = "ROC curves; " + "; ".join(f"{name}: {area_words(curve)}" for name, curve in curves.items())
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    saves(partial(_figure, dict(curves), threshold), key, "roc")


def area_words(curve: Roc) -> str:
    """The area under the curve and its interval; three decimals where two would round the area to 1."""
    digits = 3 if 0.995 <= curve.area < 1 else 2
    return f"AUC {curve.area:.{digits}f} ({curve.low:.{digits}f}-{curve.high:.{digits}f})"


def at(curve: Roc, threshold: float) -> tuple[float, float]:
    """False and true positives where scores above the threshold are flagged."""
    flagged = curve.thresholds > threshold
    place = int(np.flatnonzero(flagged)[-1]) if flagged.any() else 0
    return float(curve.false_positives[place]), float(curve.true_positives[place])


def _figure(curves: dict[str, Roc], threshold: float) -> Figure:
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#8a8f98", linewidth=1, linestyle=":")
    for name, curve in curves.items():
        colour, _, dash = LOOKS[name]
        label = f"attacker {name}: {area_words(curve)}"
        axes.plot(curve.false_positives, curve.true_positives, color=colour, linestyle=dash, label=label)
        axes.plot(*at(curve, threshold), "o", color=colour, fillstyle="none")
    axes.set(xlabel="clean pictures flagged", ylabel="fooling pictures flagged", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
