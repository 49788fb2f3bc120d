"""Figures of feature noise: how large a change is at every depth of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.figures.colors import GRAY

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # as Plotly calls them
_LINE_STYLES = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
MAX_LABELS = 24  # names on the axis
COLORS = ("#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#0072B2", "#009E73")

Line = tuple[str, Sequence[float], str, str]  # its name, its values by depth, its color, its dash


def feature_noise_figure(stages: Sequence[str], lines: Sequence[Line]) -> Figure:
    """Relative noise against depth, a line for each image."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values, color, dash in lines:
        axes.plot(range(len(stages)), values, color=color, linestyle=_LINE_STYLES[dash], label=name, marker=".")
    some = labeled(stages)
    axes.set_xticks(
        range(len(stages))[some], [short_name(stage) for stage in stages[some]], rotation=60, ha="right", fontsize=7
    )
    axes.set(ylabel="relative noise", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return figure


def labeled(stages: Sequence[str]) -> slice:
    """The stages whose names stand on the axis: of a deep network not every layer's name has room."""
    return slice(None, None, -(-len(stages) // MAX_LABELS))


def short_name(stage: str) -> str:
    return stage if len(stage) <= 18 else "…" + stage[-17:]


def styled_lines(noise: Mapping[str, Sequence[float]], attacks: Sequence[str], shuffled: str) -> list[Line]:
    """The color says the attack, the dash the defense; names are 'attack' or 'attack + defense'."""
    ranks: dict[str, int] = {}
    lines: list[Line] = []
    for name, values in noise.items():
        if name == shuffled:
            lines.append((name, values, GRAY, "solid"))
            continue
        attack = max((title for title in attacks if name == title or name.startswith(f"{title} + ")), key=len)
        defense = name[len(attack) + 3 :]
        dash = DASHES[ranks.setdefault(defense, len(ranks) + 1) % len(DASHES)] if defense else "solid"
        lines.append((name, values, COLORS[attacks.index(attack) % len(COLORS)], dash))
    return lines
