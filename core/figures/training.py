"""Figures of a training: its losses and metrics against the epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from core.figures.evaluation import COLORS
from core.training.learning_curves import LearningCurve

LINE_STYLES = ("-", "--", ":", "-.")
LOG_FROM = 8.0  # the largest value over the smallest from which an axis is logarithmic


def curves_figure(curves: Sequence[LearningCurve], title: str) -> Figure:
    """One line each against the epoch; the axis of losses is logarithmic where they span much."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        color, style = COLORS[number % len(COLORS)], LINE_STYLES[number % len(LINE_STYLES)]
        axes.plot(curve.epochs, curve.values, color=color, linestyle=style, linewidth=1.2, label=curve_name(curve))
    axes.set(xlabel="epoch", title=title, yscale="log" if is_logarithmic(curves) else "linear")
    axes.legend(frameon=False, fontsize=7)
    return figure


def is_logarithmic(curves: Sequence[LearningCurve]) -> bool:
    """Whether these are losses, all of them above zero, that span so much that a linear axis would hide the small ones."""
    values = [value for curve in curves for value in curve.values]
    return bool(values) and all(c.is_loss for c in curves) and min(values) > 0 and max(values) > LOG_FROM * min(values)


def curve_name(curve: LearningCurve) -> str:
    """The name of a loss or metric as a legend has it."""
    return curve.name.replace("_", " ")
