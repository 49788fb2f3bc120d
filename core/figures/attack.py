"""Figures of one attack: its trace, the likeliest classes before and after, the flow of stAdv."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from core.figures.colors import ADVERSARIAL, CLEAN, GRAY
from core.recipe import Prediction, Trace


def trace_figure(trace: Trace, label: str, rival: str, rival_color: str, first_success: int | None) -> Figure:
    """Two confidences and the attacker's objective against the step.

    Args:
        label: the class whose confidence falls.
        rival: the class whose confidence rises.
        first_success: the step at which the classifier was fooled first, marked by a line; None where it never was.
    """
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(trace.numbers, trace.confidence, color=CLEAN, label=label)
    left.plot(trace.numbers, trace.runner_up_confidence, color=rival_color, linestyle="--", label=rival)
    left.set(xlabel="step", ylabel="confidence", ylim=(0, 1.02))
    if first_success is not None:
        left.axvline(first_success, color="#444444", linestyle=":", label=first_success_text(first_success))
        right.axvline(first_success, color="#444444", linestyle=":")
    left.legend(frameon=False)
    right.plot(trace.numbers, trace.loss, color="#444444")
    right.set(xlabel="step", ylabel="objective")
    return figure


def first_success_text(step: int) -> str:
    return f"fooled first: step {step}"


def top_classes_figure(before: Prediction, after: Prediction, classes: Sequence[str], label: int | None) -> Figure:
    """The likeliest classes before and after the attack; `label` is the true class, None where it is unknown."""
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    columns = zip(figure.subplots(1, 2), (before, after), (CLEAN, ADVERSARIAL), ("before", "after"), strict=True)
    for axes, prediction, color, title in columns:
        names, confidences = top_classes(prediction, classes, label)
        axes.barh([name.replace(" ✓", " (true)") for name in names], confidences, color=color)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), title=title)
    return figure


def top_classes(prediction: Prediction, classes: Sequence[str], label: int | None) -> tuple[list[str], list[float]]:
    """The names of the likeliest classes, short and with the true one marked, and their confidences."""
    names = [f"{classes[n]}{' ✓' if n == label else ''}" for n, _ in prediction.top]
    short = [name if len(name) < 20 else name[:18] + "…" for name in names]
    return short, [confidence for _, confidence in prediction.top]


def flow_magnification(flow: npt.NDArray[np.float32]) -> float:
    """A round factor that makes the longest arrow about a sixteenth of the image."""
    longest = float(np.hypot(*flow).max())
    factor = flow.shape[1] / 16 / longest if longest else 1.0
    return max(f for f in (1, 2, 5, 10, 20, 50, 100) if f <= max(1.0, factor))


def flow_figure(clean: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]) -> Figure:
    """A flow 2×H×W as arrows over the image, and as a grid that was straight before."""
    height, width = flow.shape[1:]
    factor, every = flow_magnification(flow), max(1, width // 28)
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
        color=ADVERSARIAL,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.005,
    )
    right.plot((columns + across)[::every].T, (rows + down)[::every].T, color=GRAY, linewidth=0.8)
    right.plot((columns + across)[:, ::every], (rows + down)[:, ::every], color=GRAY, linewidth=0.8)
    for axes in (left, right):
        axes.set(xlim=(-1, width), ylim=(height, -1), aspect="equal")
        axes.set_axis_off()
    return figure
