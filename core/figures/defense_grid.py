"""A figure of several images in rows: clean, attacked, and behind each defense, with what the classifier says."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from matplotlib.figure import Figure

from core.figures.colors import DEFENDED, INK, VERMILION
from core.recipe.outcome import Outcome, Prediction

MAX_NAME = 16  # characters of a class


def defense_grid_figure(outcomes: Sequence[Outcome]) -> Figure:
    """One row for each image; a prediction is green where it is the true class, else vermilion with a cross."""
    titles = [
        "clean",
        outcomes[0].attacked.method.partition(",")[0],
        *(column.short_title for column in outcomes[0].columns),
    ]
    figure = Figure(figsize=(1.35 * len(titles), 1.62 * len(outcomes) + 0.4), layout="constrained")
    rows = figure.subplots(len(outcomes), len(titles), squeeze=False)
    for line, outcome in zip(rows, outcomes, strict=True):
        shown = [
            (outcome.clean, outcome.clean_prediction),
            (outcome.attacked.adversarial, outcome.attacked.prediction),
            *((column.grey.defended, column.grey.prediction) for column in outcome.columns if column.grey),
        ]
        for axes, (pixels, prediction) in zip(line, shown, strict=True):
            axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            words, color = _words(outcome, prediction)
            axes.set_xlabel(words, fontsize=7, color=color, labelpad=2)
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(fill(title, 18), fontsize=7, color=INK)
    return figure


def _words(outcome: Outcome, prediction: Prediction) -> tuple[str, str]:
    name = outcome.classes[prediction.label]
    short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    right = prediction.label == outcome.label
    return f"{'✓' if right else '✗'} {short} {100 * prediction.confidence:.0f} %", DEFENDED if right else VERMILION
