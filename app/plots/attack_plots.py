"""Plots: interactive on the screen, saved as PNG, SVG and PDF."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from app.text import per_cent
from core.figures.attack import (
    first_success_text,
    flow_figure,
    flow_magnification,
    top_classes,
    top_classes_figure,
    trace_figure,
)
from core.figures.colors import ADVERSARIAL, CLEAN, GRAY, TARGET
from core.figures.rendering import FILE_TYPES, Draw, render
from core.recipe import Prediction, Trace

CONFIG = {"displayModeBar": False, "responsive": True}


def trace_plot(trace: Trace, label: str, rival: str, *, targeted: bool, first: int | None = None, key: str) -> None:
    """The attacker's objective and two confidences (the true class, its strongest rival or the target) against the step.

    Args:
        first: the step at which the classifier was fooled first, marked by a line; None where it never was.
    """
    color = TARGET if targeted else ADVERSARIAL
    figure = make_subplots(1, 2, subplot_titles=("Confidence", "Attacker's objective"), horizontal_spacing=0.12)
    series = ((trace.confidence, label, CLEAN, "solid"), (trace.runner_up_confidence, rival, color, "dash"))
    for values, name, tone, dash in series:
        line = {"color": tone, "dash": dash, "width": 2}
        figure.add_trace(
            go.Scatter(
                x=trace.numbers, y=values, name=name, line=line, mode="lines+markers" if len(values) < 3 else "lines"
            ),
            1,
            1,
        )
    figure.add_trace(
        go.Scatter(x=trace.numbers, y=trace.loss, name="objective", line={"color": GRAY, "width": 2}, showlegend=False),
        1,
        2,
    )
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", row=1, col=1)
    if first is not None:
        line = {"color": GRAY, "dash": "dot", "width": 2}
        figure.add_trace(
            go.Scatter(
                x=[first] * 2, y=[0, 1.02], name=first_success_text(first), line=line, mode="lines", hoverinfo="skip"
            ),
            1,
            1,
        )
        figure.add_vline(x=first, line=line, row=1, col=2)
    figure.update_xaxes(title="step")
    style(figure, height=300)
    figure.update_layout(legend_y=-0.4)  # below the title of the axis, also where the entries need two lines
    st.plotly_chart(
        figure,
        key=key,
        config=CONFIG,
        theme="streamlit",
        alt=f"Confidence of {label} and of {rival}, and the objective, by step"
        + ("" if first is None else f"; {first_success_text(first)}"),
    )
    save_menu(partial(trace_figure, trace, label, rival, color, first), key, "trace")


def top_classes_plot(
    before: Prediction, after: Prediction, classes: tuple[str, ...], label: int | None, *, key: str
) -> None:
    """The five likeliest classes before and after, the true class marked; `label` is None where it is unknown."""
    figure = make_subplots(1, 2, subplot_titles=("Before", "After, as an 8-bit file"), horizontal_spacing=0.3)
    for number, (verdict, tone) in enumerate(((before, CLEAN), (after, ADVERSARIAL)), start=1):
        names, shares = top_classes(verdict, classes, label)
        text = [per_cent(share) for share in shares]
        bar = go.Bar(
            y=names, x=shares, orientation="h", marker_color=tone, text=text, textposition="auto", showlegend=False
        )
        figure.add_trace(bar, 1, number)
    figure.update_xaxes(range=[0, 1.05], tickformat=".0%", nticks=3)
    figure.update_yaxes(autorange="reversed")
    style(figure, height=260)
    words = f"Before: {classes[before.label]} {per_cent(before.confidence)}; after: {classes[after.label]} {per_cent(after.confidence)}"
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt=words)
    save_menu(partial(top_classes_figure, before, after, classes, label), key, "top5")


def style(figure: go.Figure, height: int) -> None:
    """What all plots share: no frame, no ground of their own, the legend below."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.25},
        dragmode=False,
    )


def save_menu(draw: Draw, key: str, name: str) -> None:
    """A small menu that draws the plot anew for paper, only when asked."""
    with st.popover("Save plot", key=f"{key}_saves"):
        for kind in FILE_TYPES:
            st.download_button(
                kind.upper(), partial(render, draw, kind), f"{name}.{kind}", key=f"{key}_{kind}", on_click="ignore"
            )


def flow_plot(clean: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32], *, key: str) -> None:
    """Where stAdv moved the image: arrows over it, and a grid that was straight before."""
    draw = partial(flow_figure, clean, flow)
    far = float(np.hypot(*flow).max())
    st.image(
        render(draw, "png"),
        width="stretch",
        output_format="PNG",
        alt=f"The flow as arrows and as a warped grid; the farthest pixel moved {far:.2f} pixels",
    )
    times = flow_magnification(flow)
    drawn = f" Arrows and grid are drawn {times:g} times as long." if times != 1 else ""
    st.caption(f"The farthest pixel moved {far:.2f} pixels.{drawn}")
    save_menu(draw, key, "flow")
