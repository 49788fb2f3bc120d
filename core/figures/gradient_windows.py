"""Figures of local gradients smoothing: how many windows have which mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from core.figures.colors import ADVERSARIAL, CLEAN, INK

BINS = 40


def window_means_figure(means: npt.NDArray[np.floating], gamma: float, top: float) -> Figure:
    """Histogram of the window means of the clean and of the attacked image (2×...), from 0 to `top`, and the threshold γ."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(
        [m.ravel() for m in means],
        bins=BINS,
        range=(0, top),
        color=[CLEAN, ADVERSARIAL],
        label=["clean", "attacked"],
        log=True,
    )
    axes.axvline(gamma, color=INK, linewidth=1)
    axes.annotate(
        f"γ {gamma:.3f}", (gamma, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points"
    )
    axes.set(xlabel="mean normalized gradient of a window", ylabel="windows")
    axes.legend(frameon=False)
    return figure
