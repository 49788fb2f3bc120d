"""Figures of several classifiers: accuracy against eps, and the matrix of transfer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from core.evaluate.eps_curves import EpsCurves
from core.evaluate.proportion import wilson
from core.evaluate.transfer import TransferAccuracy
from core.figures.budget_axis import budget_scale, eps_title
from core.figures.colors import INK
from core.figures.evaluation import COLORS

LINE_STYLES = ("-", "--", ":", "-.")
NO_ATTACK = "no attack"


def eps_curves_figure(result: EpsCurves, titles: Mapping[str, str], unit: str) -> Figure:
    """Accuracy against eps with 95 % intervals, a line for each classifier.

    Args:
        titles: of the classifiers, by name.
        unit: in which the domain writes eps: '/255', or '' for a plain number.
    """
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(result.names):
        curve = result.curve(name)
        values = np.array([share.value for share in curve])
        errors = np.abs(np.array([wilson(share.successes, share.count) for share in curve]).T - values)
        axes.errorbar(
            [eps * budget_scale(unit) for eps in result.eps],
            values,
            errors,
            linestyle=LINE_STYLES[number % len(LINE_STYLES)],
            color=COLORS[number % len(COLORS)],
            marker="o",
            markersize=3,
            capsize=2,
            linewidth=1.2,
            label=titles[name],
        )
    axes.set(xlabel=eps_title(unit), ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7)
    return figure


def transfer_figure(result: TransferAccuracy, titles: Mapping[str, str]) -> Figure:
    """Accuracies as a heat map: a row for no attack and one a classifier that the attack was crafted on, a column a judge.

    Args:
        titles: of the classifiers, by name.
    """
    values = accuracies(result)
    rows, columns = values.shape
    figure = Figure(figsize=(2.6 + 0.85 * columns, 1.8 + 0.45 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=text_color(value), fontsize=8)
    names = [titles[name] for name in result.names]
    axes.set_xticks(range(columns), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(rows), [NO_ATTACK, *names], fontsize=8)
    axes.set(xlabel="judged by", ylabel="crafted on", title="accuracy in per cent")
    axes.title.set_fontsize(9)
    return figure


def accuracies(result: TransferAccuracy) -> np.ndarray:
    """The accuracies of a transfer, (1+C)×C in [0, 1]: first without an attack, then crafted on each classifier."""
    crafted_on = (None, *result.names)
    return np.array([[result.accuracy(judge, on).value for judge in result.names] for on in crafted_on])


def text_color(value: float) -> str:
    """A color for text that can be read on the cell of that accuracy in cividis."""
    return INK if value > 0.55 else "#ffffff"
