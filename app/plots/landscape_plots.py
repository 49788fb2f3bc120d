"""The ground around an image on the screen: a surface that turns, regions of a plane, spectra."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.text import per_cent
from core.analysis.landscape import Regions
from core.explain.landscape import Grid
from core.figures.colors import BLUE, GRAY
from core.figures.landscape import (
    ANCHOR_COLORS,
    Spectrum,
    axis_title,
    positive,
    region_classes,
    region_color,
    regions_figure,
    spectrum_figure,
    surface_figure,
)


def surface_plot(grid: Grid, classes: Sequence[str], label: int, *, unit: str = "/255", key: str) -> None:
    """The loss over two directions, in the domain's unit, as a surface that turns; the image itself stands in the middle."""
    scale, form = (255, ".1f") if unit == "/255" else (1, ".3g")
    across, down = grid.across * scale, grid.down * scale
    names = np.array([classes[int(number)] for number in grid.predicted.ravel()]).reshape(grid.predicted.shape)
    middle = len(grid.down) // 2, len(grid.across) // 2
    figure = go.Figure(
        [
            go.Surface(
                x=across,
                y=down,
                z=grid.loss,
                colorscale="Cividis",
                showscale=False,
                text=names,
                hovertemplate=f"gradient %{{x:{form}}}{unit}, random %{{y:{form}}}{unit}<br>"
                "loss %{z:.2f}, sees %{text}<extra></extra>",
            ),
            go.Scatter3d(
                x=[0],
                y=[0],
                z=[float(grid.loss[middle])],
                mode="markers+text",
                marker={"size": 5, "color": BLUE},
                text=["the image"],
                textposition="top center",
                hoverinfo="skip",
            ),
        ]
    )
    style(figure, height=480)
    axis = {"showbackground": False, "gridcolor": "rgba(138,143,152,.35)", "zerolinecolor": GRAY}
    figure.update_layout(
        dragmode="turntable",
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={
            "xaxis": {**axis, "title": axis_title("gradient sign", unit)},
            "yaxis": {**axis, "title": axis_title("random signs", unit)},
            "zaxis": {**axis, "title": "loss"},
            "camera": {"eye": {"x": -1.75, "y": -1.85, "z": 1.0}},
        },
    )
    wrong = float((grid.predicted != label).mean())
    alt = (
        f"Loss from {grid.loss.min():.2f} to {grid.loss.max():.2f}, {grid.loss[middle]:.2f} at the image; "
        f"{per_cent(wrong)} of the plane is not seen as {classes[label]}"
    )
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(surface_figure, grid, unit), key, "loss_surface")


def regions_plot(result: Regions, classes: Sequence[str], *, key: str) -> None:
    """The classes that the classifier sees on the plane, and where the three images lie."""
    grid = result.grid
    present, places = region_classes(grid)
    count = max(2, len(present))
    colors = [_css(n) for n in range(count)]
    scale = [[bound / count, color] for n, color in enumerate(colors) for bound in (n, n + 1)]
    said = zip(grid.predicted.ravel(), grid.confidence.ravel(), strict=True)
    words = np.array([f"{classes[int(number)]} {per_cent(float(share))}" for number, share in said])
    figure = go.Figure(
        go.Heatmap(
            x=grid.across,
            y=grid.down,
            z=places,
            zmin=-0.5,
            zmax=count - 0.5,
            colorscale=scale,
            showscale=False,
            text=words.reshape(grid.predicted.shape),
            hovertemplate="%{text}<extra></extra>",
        )
    )
    for n, number in enumerate(present):
        square = {"size": 12, "symbol": "square", "color": colors[n]}
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=classes[number],
                marker=square,
            )
        )
    titles = ("clean", "adversarial", result.third_title)
    figure.add_trace(
        go.Scatter(
            x=[place[0] for place in result.plane.places],
            y=[place[1] for place in result.plane.places],
            mode="markers+text",
            text=[f"<b>{title}</b>" for title in titles],
            textposition="top center",
            textfont={"color": "#111111", "size": 14},
            marker={"size": 12, "color": ["#ffffff"] * 3, "line": {"width": 3, "color": list(ANCHOR_COLORS)}},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    style(figure, height=460)
    figure.update_layout(legend={"y": -0.18})
    figure.update_xaxes(title="from clean to adversarial (L2)", showgrid=False, zeroline=False)
    figure.update_yaxes(title=f"toward {result.third_title} (L2)", showgrid=False, zeroline=False)
    alt = "Decision regions: " + ", ".join(classes[number] for number in present)
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=alt)
    save_menu(partial(regions_figure, result, tuple(classes)), key, "decision_regions")


def _css(n: int) -> str:
    return "rgb({:.0f},{:.0f},{:.0f})".format(*region_color(n))


def spectrum_plot(lines: Sequence[Spectrum], *, key: str) -> None:
    """Power by frequency, each line's name, frequencies, powers and color; both axes' scales as a spectrum is read."""
    figure = go.Figure()
    for name, frequencies, powers, color in lines:
        figure.add_trace(
            go.Scatter(
                x=frequencies[1:],
                y=positive(powers[1:]),
                name=name,
                mode="lines",
                line={"color": color, "width": 2},
                hovertemplate="%{x:.2f} cycles a pixel: %{y:.3g}<extra>" + name + "</extra>",
            )
        )
    style(figure, height=360)
    figure.update_xaxes(title="cycles a pixel", range=[0, 0.5])
    figure.update_yaxes(title="mean power", type="log", exponentformat="power")
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt="Mean power by distance from frequency 0")
    save_menu(partial(spectrum_figure, lines), key, "spectrum")
