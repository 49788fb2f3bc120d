"""Figures of certificates: the certified bound and the best attack against the budget, one image or a set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from core.evaluate.certification import CertifiedImage, CertifiedSet, Values
from core.evaluate.proportion import Proportion, wilson
from core.figures.budget_axis import budget_scale, budget_title
from core.figures.colors import ADVERSARIAL, CLEAN, GRAY

GAP = "gap: where the smallest margin lies"
DASHES = (
    ("solid", "-"),
    ("dash", "--"),
    ("dot", ":"),
    ("dashdot", "-."),
)  # of several bounds, on the screen and on paper
LINES = dict(DASHES)
MARKERS = {"circle": "o", "square-open": "s"}  # of several classifiers, on the screen and on paper


def margin_range(result: CertifiedImage) -> tuple[float, float]:
    """The margins that a plot shows: loose bounds fall far below those that matter."""
    shown = [*result.attacked, *(values[0] for values in result.bounds.values()), 0.0]
    low, high = min(shown), max(shown)
    span = max(high - low, 1e-6)
    return low - 0.5 * span, high + 0.1 * span


def margin_figure(result: CertifiedImage, unit: str) -> Figure:
    """The lower bounds of the margin and the smallest attacked margin against the budget, the gap shaded."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    budgets = result.budgets * budget_scale(unit)
    low, high = margin_range(result)
    if len(result.attacked):
        axes.fill_between(budgets, result.best_bound, result.attacked, color=GRAY, alpha=0.25, linewidth=0, label=GAP)
        axes.plot(
            budgets, result.attacked, color=ADVERSARIAL, marker="o", markersize=3, label=f"best of {result.attacks}"
        )
    for (name, values), (_, style) in zip(result.bounds.items(), cycle(DASHES)):
        axes.plot(budgets, values, color=CLEAN, linestyle=style, label=name)
    axes.axhline(0, color=GRAY, linewidth=1)
    axes.set(xlabel=budget_title(result.unit, unit), ylabel="margin", ylim=(low, high))
    axes.legend(frameon=False, fontsize=8)
    return figure


class Curve(NamedTuple):
    """Accuracy against the budget; `dash` and `marker` are Plotly's words."""

    name: str
    budgets: Values
    shares: tuple[Proportion, ...]
    color: str
    dash: str
    marker: str


def accuracy_curves(certified_sets: Mapping[str, CertifiedSet]) -> Iterator[Curve]:
    """The curves of classifiers by their titles: color and line tell what is counted, and the marker tells whose it is."""
    for (title, result), marker in zip(certified_sets.items(), cycle(MARKERS)):
        whose = f"{title}: " if len(certified_sets) > 1 else ""
        yield Curve(f"{whose}certified", result.budgets, result.certified, CLEAN, "solid", marker)
        if result.attacked:
            yield Curve(f"{whose}under {result.attacks}", result.budgets, result.attacked, ADVERSARIAL, "dash", marker)


def certified_accuracy_figure(certified_sets: Mapping[str, CertifiedSet], unit: str) -> Figure:
    """Certified and attacked accuracy against the budget with their 95 % intervals, of classifiers by their titles."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for curve in accuracy_curves(certified_sets):
        budgets = curve.budgets * budget_scale(unit)
        spans = np.array([wilson(share.successes, share.count) for share in curve.shares])
        axes.plot(
            budgets,
            [share.value for share in curve.shares],
            color=curve.color,
            linestyle=LINES[curve.dash],
            label=curve.name,
            marker=MARKERS[curve.marker] if len(budgets) < 12 else "",
            markersize=4,
        )
        axes.fill_between(budgets, spans[:, 0], spans[:, 1], color=curve.color, alpha=0.15, linewidth=0)
    first = next(iter(certified_sets.values()))
    axes.set(xlabel=budget_title(first.unit, unit), ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return figure
