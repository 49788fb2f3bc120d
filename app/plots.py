"""Plots: interactive on the screen, saved as PNG, SVG and PDF."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import streamlit as st
from matplotlib import rc_context
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from app.words import per_cent
from core.recipe import Prediction, Trace

CLEAN, ADVERSARIAL, TARGET, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8a8f98"
CONFIG = {"displayModeBar": False, "responsive": True}


def trace_plot(trace: Trace, label: str, rival: str, *, targeted: bool, first: int | None = None, key: str) -> None:
    """The attacker's objective and two confidences (the true class, its strongest rival or the target) against the step.

    Args:
        first: the step at which the classifier was fooled first, marked by a line; None where it never was.
    """
    colour = TARGET if targeted else ADVERSARIAL
    figure = make_subplots(1, 2, subplot_titles=("Confidence", "Attacker's objective"), horizontal_spacing=0.12)
    series = ((trace.confidence, label, CLEAN, "solid"), (trace.strongest, rival, colour, "dash"))
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
        go.Scatter(x=trace.numbers, y=trace.loss, name="objective", line={"color": GREY, "width": 2}, showlegend=False),
        1,
        2,
    )
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", row=1, col=1)
    if first is not None:
        figure.add_vline(x=first, line={"color": GREY, "dash": "dot", "width": 2}, row=1, col="all")
        figure.add_annotation(
            x=first, y=1, yref="y domain", text=_first_words(first), showarrow=False, yanchor="bottom", row=1, col=1
        )
    figure.update_xaxes(title="step")
    style(figure, height=280)
    st.plotly_chart(
        figure,
        key=key,
        config=CONFIG,
        theme="streamlit",
        alt=f"Confidence of {label} and of {rival}, and the objective, by step"
        + ("" if first is None else f"; {_first_words(first)}"),
    )
    saves(partial(_trace_figure, trace, label, rival, colour, first), key, "trace")


def _first_words(first: int) -> str:
    return f"fooled first: step {first}"


def top_bars(before: Prediction, after: Prediction, classes: tuple[str, ...], label: int | None, *, key: str) -> None:
    """The five likeliest classes before and after, the true class marked; `label` is None where it is unknown."""
    figure = make_subplots(1, 2, subplot_titles=("Before", "After, as an 8-bit file"), horizontal_spacing=0.3)
    for number, (verdict, tone) in enumerate(((before, CLEAN), (after, ADVERSARIAL)), start=1):
        names, shares = _top(verdict, classes, label)
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
    saves(partial(_bars_figure, before, after, classes, label), key, "top5")


def _top(verdict: Prediction, classes: tuple[str, ...], label: int | None) -> tuple[list[str], list[float]]:
    names = [f"{classes[n]}{' ✓' if n == label else ''}" for n, _ in verdict.top]
    return [name if len(name) < 20 else name[:18] + "…" for name in names], [share for _, share in verdict.top]


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


def saves(draw: Callable[[], Figure], key: str, name: str) -> None:
    """A small menu that draws the plot anew for paper, only when asked."""
    with st.popover("Save plot", key=f"{key}_saves"):
        for kind in ("png", "svg", "pdf"):
            st.download_button(
                kind.upper(), partial(rendered, draw, kind), f"{name}.{kind}", key=f"{key}_{kind}", on_click="ignore"
            )


def rendered(draw: Callable[[], Figure], kind: str) -> bytes:
    """A figure as the bytes of a PNG, SVG or PDF file; the same figure gives the same bytes."""
    file = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with rc_context({"svg.hashsalt": "mirage", "pdf.fonttype": 42}):
        draw().savefig(file, format=kind, dpi=200, metadata=undated, bbox_inches="tight")
    return file.getvalue()


def _trace_figure(trace: Trace, label: str, rival: str, colour: str, first: int | None) -> Figure:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(trace.numbers, trace.confidence, color=CLEAN, label=label)
    left.plot(trace.numbers, trace.strongest, color=colour, linestyle="--", label=rival)
    left.set(xlabel="step", ylabel="confidence", ylim=(0, 1.02))
    if first is not None:
        left.axvline(first, color="#444444", linestyle=":", label=_first_words(first))
        right.axvline(first, color="#444444", linestyle=":")
    left.legend(frameon=False)
    right.plot(trace.numbers, trace.loss, color="#444444")
    right.set(xlabel="step", ylabel="objective")
    return figure


def _bars_figure(before: Prediction, after: Prediction, classes: tuple[str, ...], label: int | None) -> Figure:
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    for axes, verdict, tone, title in zip(
        figure.subplots(1, 2), (before, after), (CLEAN, ADVERSARIAL), ("before", "after"), strict=True
    ):
        names, shares = _top(verdict, classes, label)
        axes.barh([name.replace(" ✓", " (true)") for name in names], shares, color=tone)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), title=title)
    return figure


def flow_plot(clean: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32], *, key: str) -> None:
    """Where stAdv moved the picture: arrows over it, and a grid that was straight before."""
    draw = partial(_flow_figure, clean, flow)
    far = float(np.hypot(*flow).max())
    st.image(
        rendered(draw, "png"),
        width="stretch",
        output_format="PNG",
        alt=f"The flow as arrows and as a warped grid; the farthest pixel moved {far:.2f} pixels",
    )
    st.caption(
        f"The farthest pixel moved {far:.2f} pixels. Arrows and grid are drawn {_enlarged(flow):g} times as long."
    )
    saves(draw, key, "flow")


def _enlarged(flow: npt.NDArray[np.float32]) -> float:
    """A round factor that makes the longest arrow about a sixteenth of the picture."""
    far = float(np.hypot(*flow).max())
    wanted = flow.shape[1] / 16 / far if far else 1.0
    return max(f for f in (1, 2, 5, 10, 20, 50, 100) if f <= max(1.0, wanted))


def _flow_figure(clean: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]) -> Figure:
    height, width = flow.shape[1:]
    factor, every = _enlarged(flow), max(1, width // 28)
    rows, columns = np.mgrid[0:height, 0:width]
    # A pixel takes the value from where the flow points, so what is seen moves the other way.
    down, across = -factor * flow
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.patch.set_alpha(0)
    left, right = figure.subplots(1, 2)
    left.imshow(clean.squeeze(), cmap="gray", vmin=0, vmax=255, alpha=0.55)
    some = (slice(every // 2, None, every), slice(every // 2, None, every))
    left.quiver(
        columns[some],
        rows[some],
        across[some],
        down[some],
        color="#D55E00",
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.005,
    )
    right.plot((columns + across)[::every].T, (rows + down)[::every].T, color="#8a8f98", linewidth=0.8)
    right.plot((columns + across)[:, ::every], (rows + down)[:, ::every], color="#8a8f98", linewidth=0.8)
    for axes in (left, right):
        axes.set(xlim=(-1, width), ylim=(height, -1), aspect="equal")
        axes.set_axis_off()
    return figure
