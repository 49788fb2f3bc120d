"""Figures of certificates: the certified bound and the best attack against the budget, one image or a set."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.proportion import wilson
from core.figures.colors import ADVERSARIAL, CLEAN, GRAY

GAP = "gap: neither promised nor attacked"
DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"))  # of several bounds, on the screen and on paper


def margin_range(result: CertifiedImage) -> tuple[float, float]:
    """The margins that a plot shows: loose bounds fall far below those that matter."""
    shown = [*result.attacked, *(values[0] for values in result.bounds.values()), 0.0]
    low, high = min(shown), max(shown)
    span = max(high - low, 1e-6)
    return low - 0.5 * span, high + 0.1 * span


def budget_scale(unit: str) -> float:
    """By what a budget is multiplied to be written in that unit."""
    return 255 if unit == "/255" else 1


def budget_title(kind: str, unit: str) -> str:
    """The title of the axis of budgets: of which kind, in which unit."""
    return f"ε, {kind} (n/255)" if unit == "/255" else f"ε, {kind}"


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
    for (name, values), (_, style) in zip(result.bounds.items(), DASHES, strict=False):
        axes.plot(budgets, values, color=CLEAN, linestyle=style, label=name)
    axes.axhline(0, color=GRAY, linewidth=1)
    axes.set(xlabel=budget_title(result.unit, unit), ylabel="margin", ylim=(low, high))
    axes.legend(frameon=False, fontsize=8)
    return figure


def certified_accuracy_figure(result: CertifiedSet, unit: str) -> Figure:
    """Certified and attacked accuracy against the budget with their 95 % intervals."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    budgets = result.budgets * budget_scale(unit)
    for name, shares, color, style in (
        ("certified", result.certified, CLEAN, "-"),
        (f"under {result.attacks}", result.attacked, ADVERSARIAL, "--"),
    ):
        if shares:
            spans = np.array([wilson(share.successes, share.count) for share in shares])
            axes.plot(budgets, [share.value for share in shares], color=color, linestyle=style, label=name)
            axes.fill_between(budgets, spans[:, 0], spans[:, 1], color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel=budget_title(result.unit, unit), ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return figure
