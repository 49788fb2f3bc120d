"""Figures of detectors: ROC curves for both attackers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from core.evaluate.roc import Roc
from core.figures.colors import BLUE, GRAY, VERMILION

STYLES = {  # by attacker: color, dash on the screen, line style on paper
    "does not know it": (BLUE, "solid", "-"),
    "knows it": (VERMILION, "dash", "--"),
}


def roc_figure(curves: Mapping[str, Roc], threshold: float) -> Figure:
    """True positives against false positives, a curve for each attacker; a point where the threshold lies."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":")
    for name, curve in curves.items():
        color, _, line_style = STYLES[name]
        label = f"attacker {name}: {area_text(curve)}"
        axes.plot(curve.false_positives, curve.true_positives, color=color, linestyle=line_style, label=label)
        axes.plot(*operating_point(curve, threshold), "o", color=color, fillstyle="none")
    axes.set(xlabel="clean images flagged", ylabel="fooling images flagged", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def area_text(curve: Roc) -> str:
    """The area under the curve and its interval; three decimals where two would round the area to 1."""
    digits = 3 if 0.995 <= curve.area < 1 else 2
    return f"AUC {curve.area:.{digits}f} ({curve.low:.{digits}f}-{curve.high:.{digits}f})"


def operating_point(curve: Roc, threshold: float) -> tuple[float, float]:
    """False and true positives where scores above the threshold are flagged."""
    flagged = curve.thresholds > threshold
    index = int(np.flatnonzero(flagged)[-1]) if flagged.any() else 0
    return float(curve.false_positives[index]), float(curve.true_positives[index])
