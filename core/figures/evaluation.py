"""Figures of an evaluation: confusion matrices, accuracy by eps, the time of each defense."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from core import domains
from core.evaluate.metrics import CellKey, Counts, Curve
from core.evaluate.plan import NO_DEFENSE, Plan
from core.evaluate.proportion import wilson
from core.evaluate.report import column_title
from core.figures.budget_axis import budget_scale, eps_title
from core.figures.colors import DEFENDED, GRAY, INK

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # a defense's, for either attacker
MAX_CELLS = 40  # classes up to which a confusion matrix is a heat map with every name at its sides
MAX_PRINTED = 150  # names at a side of a larger one
MAX_NAME = 22  # characters of a name at a side


def confusion_figure(counts: Counts, names: Sequence[str], rows: str, columns: str) -> Figure:
    """A confusion matrix; of very many classes every second, third ... is named."""
    count = len(names)
    small = count <= MAX_CELLS
    side = min(10.0, 2 + 0.35 * count) if small else min(24.0, 10 + 0.08 * (count - MAX_CELLS))
    every = -(-count // MAX_PRINTED)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.log1p(counts), cmap="cividis", interpolation="nearest")
    axes.set(xlabel=columns, ylabel=rows)
    size = None if small else 6
    rotation, ha = (60, "right") if small else (90, "center")
    axes.set_xticks(range(0, count, every), names[::every], rotation=rotation, ha=ha, fontsize=size)
    axes.set_yticks(range(0, count, every), names[::every], fontsize=size)
    if small:
        for row, column in np.argwhere(counts > 0):
            color = count_color(counts, row, column)
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=7)
    return figure


def count_color(counts: Counts, row: int, column: int) -> str:
    """A color for the count that can be read on its cell."""
    brightness = np.log1p(counts[row, column]) / max(np.log1p(counts.max()), 1e-9)
    return INK if brightness > 0.6 else "#ffffff"


def tick_names(classes: Sequence[str], shown: Sequence[int]) -> list[str]:
    """The names of those classes as an axis has them: short, and each one different (ImageNet has two cranes)."""
    short = [classes[n] if len(classes[n]) <= MAX_NAME else f"{classes[n][: MAX_NAME - 1]}…" for n in shown]
    repeated = {name for name in short if short.count(name) > 1}
    return [f"{name} ({n})" if name in repeated else name for name, n in zip(short, shown, strict=True)]


def accuracy_figure(plan: Plan, curves: Sequence[Curve]) -> Figure:
    """Accuracy under one attack against eps with 95 % intervals, a line for each defense and attacker."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    line_styles = {"none": ":", "grey": "-", "adaptive": "--"}
    unit = domains.get(plan.domain).linf.unit
    for curve in curves:
        values = [share.value for share in curve.proportions]
        intervals = [wilson(share.successes, share.count) for share in curve.proportions]
        errors = np.abs(np.array(intervals).T - np.array(values))
        axes.errorbar(
            [budget_scale(unit) * eps for eps in curve.eps],
            values,
            errors,
            linestyle=line_styles[curve.column.attacker],
            color=column_color(curve.column),
            marker="o",
            markersize=3,
            capsize=2,
            linewidth=1.2,
            label=column_title(plan, curve.column),
        )
    axes.set(xlabel=eps_title(unit), ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7)
    return figure


def column_color(column: CellKey) -> str:
    return GRAY if column.defense == NO_DEFENSE else COLORS[column.defense % len(COLORS)]


def times_figure(titles: Sequence[str], milliseconds: Sequence[float], labels: Sequence[str]) -> Figure:
    """What each defense takes for one image, on a logarithmic axis (LGS, figure 3)."""
    figure = Figure(figsize=(6, 0.6 + 0.32 * len(titles)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(titles, milliseconds, color=DEFENDED)
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set(xscale="log", xlabel="ms per image", xlim=(min(milliseconds) / 2, max(milliseconds) * 4))
    axes.invert_yaxis()
    return figure
