"""Figures of the loss landscape: the loss surface, the decision regions of a plane, power spectra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from core.analysis.landscape import Regions
from core.explain.landscape import Grid
from core.figures.colormaps import CLASSES
from core.figures.colors import BLUE, INK, VERMILION

Values = npt.NDArray[np.float32]
Spectrum = tuple[str, Values, Values, str]  # its name, frequencies, powers and color

ANCHOR_COLORS = (BLUE, VERMILION, INK)  # of the three images that a plane goes through


def surface_figure(grid: Grid, unit: str) -> Figure:
    """The loss over two directions, in the domain's unit ("/255", or "" for plain numbers)."""
    figure = Figure(figsize=(5, 4.4), layout="constrained")
    axes = figure.add_subplot(projection="3d")
    scale = 255 if unit == "/255" else 1
    columns, rows = np.meshgrid(grid.across * scale, grid.down * scale)
    axes.plot_surface(columns, rows, grid.loss, cmap="cividis", rstride=1, cstride=1, linewidth=0)
    axes.set(xlabel=axis_title("gradient sign", unit), ylabel=axis_title("random signs", unit), zlabel="loss")
    axes.view_init(25, -135)
    return figure


def axis_title(words: str, unit: str) -> str:
    return f"{words} (n{unit})" if unit else words


def regions_figure(regions: Regions, classes: Sequence[str]) -> Figure:
    """The classes that the classifier sees on a plane, and where the three images lie that it goes through."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    grid = regions.grid
    present, ranks = region_classes(grid)
    colors = ListedColormap([region_color(n) / 255 for n in range(len(present))])
    axes.pcolormesh(grid.across, grid.down, ranks, cmap=colors, vmin=-0.5, vmax=len(present) - 0.5, shading="nearest")
    titles = ("clean", "adversarial", regions.third_title)
    for (x, y), title, edge in zip(regions.plane.places, titles, ANCHOR_COLORS, strict=True):
        axes.plot(x, y, "o", color="white", markeredgecolor=edge, markeredgewidth=2)
        axes.annotate(title, (x, y), xytext=(0, 7), textcoords="offset points", ha="center")
    for n, number in enumerate(present):
        axes.plot([], [], "s", color=colors(n), label=classes[number])
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel="from clean to adversarial (L2)", ylabel=f"toward {regions.third_title} (L2)")
    return figure


def region_classes(grid: Grid) -> tuple[list[int], npt.NDArray[np.int64]]:
    """The classes on a plane, that at the clean image first and then by area, and the rank of each point's class among them."""
    numbers, counts = np.unique(grid.predicted, return_counts=True)
    at_clean = int(grid.predicted[np.abs(grid.down).argmin(), np.abs(grid.across).argmin()])
    present = [int(number) for number in numbers[np.argsort(-counts, kind="stable")]]
    present.sort(key=lambda number: number != at_clean)
    ranks = {number: rank for rank, number in enumerate(present)}
    return present, np.vectorize(ranks.__getitem__, otypes=[np.int64])(grid.predicted)


def region_color(rank: int) -> npt.NDArray[np.floating]:
    """The RGB color of a class, 0 to 255; light enough for dark text on it in both themes."""
    color: npt.NDArray[np.floating] = 0.6 * CLASSES[rank % len(CLASSES)] + 0.4 * 255
    return color


def spectrum_figure(spectra: Sequence[Spectrum]) -> Figure:
    """Power by frequency, a line each."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, frequencies, powers, color in spectra:
        axes.semilogy(frequencies[1:], positive(powers[1:]), color=color, label=name)
    axes.set(xlabel="cycles a pixel", ylabel="mean power", xlim=(0, 0.5))
    axes.legend(frameon=False)
    return figure


def positive(powers: Values) -> Values:
    """The powers for a logarithmic axis: NaN, which is not drawn, where there is none."""
    return np.where(powers > 0, powers, np.float32(np.nan))
