"""Views of an evaluation: the matrix of accuracies, confusion matrices, curves, and what each defense costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.plots.attack_plots import CONFIG, save_menu, style
from app.text import duration
from app.theme import plain
from core import domains
from core.evaluate.metrics import CellKey, Counts, Curve, Measure, Metrics, cell_keys, curves
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion, wilson
from core.evaluate.report import ATTACKERS, column_title, partial_note
from core.figures.budget_axis import budget_scale, eps_title
from core.figures.colormaps import CIVIDIS
from core.figures.evaluation import (
    MAX_CELLS,
    accuracy_figure,
    column_color,
    confusion_figure,
    count_color,
    tick_names,
    times_figure,
)

DASHES = {"none": "dot", "grey": "solid", "adaptive": "dash"}
MAX_LABEL = 25  # characters of a column's title that are surely seen
MAX_TICKS = 30  # names at a side of a larger one on the screen, until it is zoomed


def matrix_columns(plan: Plan, classifier: int = 0) -> list[CellKey]:
    """The columns of the matrix, as places without their attack."""
    return cell_keys(plan, classifier)[-1]


def results_matrix(
    findings: Metrics, classifier: int, measure: Measure, detector: int = 0, *, key: str
) -> CellKey | None:
    """Attacks by defenses, shaded by the share, with count and interval; the cell that the user chose, if any."""
    plan = findings.plan
    columns = matrix_columns(plan, classifier)
    heads = [column_title(plan, place) for place in columns]
    text: list[dict[str, str]] = []
    shares: list[list[Proportion | None]] = []
    for line in cell_keys(plan, classifier):
        attack = line[0].attack
        there = [_cell_key(place, attack) for place in columns]
        proportions = [findings.proportion(place, measure, detector=detector) for place in there]
        shares.append(proportions)
        words = [_cell_text(findings, place, share) for place, share in zip(there, proportions, strict=True)]
        text.append({"Attack": plan.attack_title(attack), **dict(zip(heads, words, strict=True))})
    frame = pd.DataFrame(text)
    colors = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for row, values in enumerate(shares):
        for head, share in zip(heads, values, strict=True):
            if share is not None and share.count:
                colors.loc[row, head] = cell_style(share.value)
    done, total = findings.run.progress()
    # Pixels for what its cells will say, so that it keeps its shape while it fills.
    width = 200 if done == total or plan.n_images <= plan.batch else 240
    event = st.dataframe(
        frame.style.apply(lambda _: colors, axis=None),
        hide_index=True,
        width="stretch",
        column_config={
            head: st.column_config.TextColumn(column_label(plan, place), width=width, help=plain(head))
            for head, place in zip(heads, columns, strict=True)
        },
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
    )
    cells = event["selection"]["cells"]
    if not cells or cells[0][1] not in heads:
        return None
    row, head = cells[0]
    return _cell_key(columns[heads.index(head)], row - 1)


def column_label(plan: Plan, place: CellKey) -> str:
    """The title of a column; a long one is cut on the screen, so what the attacker knows stands first."""
    title = column_title(plan, place)
    if len(title) <= MAX_LABEL or place.attacker == "none":
        return title
    return f"{ATTACKERS[place.attacker]}: {plan.defense_title(place.defense)}"


def _cell_key(place: CellKey, attack: int) -> CellKey:
    """The same column under another attack; without one nobody knows anything."""
    attacker = "none" if attack == NO_ATTACK or place.defense == NO_DEFENSE else place.attacker
    return CellKey(place.classifier, attack, place.defense, attacker)


def _cell_text(findings: Metrics, place: CellKey, share: Proportion | None) -> str:
    """What a cell says; an unfinished one says so."""
    if share is None or not share.count:
        return "–"
    low, high = wilson(share.successes, share.count)
    words = f"{100 * share.value:.1f} % ({100 * low:.0f}-{100 * high:.0f}) · {share.successes} of {share.count}"
    return f"{words} so far" if partial_note(findings, place) else words


def cell_style(value: float) -> str:
    """The cell's color in cividis, and a text color that can be read on it."""
    rgb = CIVIDIS[min(255, int(256 * value))] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    bright = float(linear @ (0.2126, 0.7152, 0.0722)) > 0.179  # where black and white can be read equally well (WCAG)
    color = "".join(f"{round(255 * part):02x}" for part in rgb)
    return f"background-color: #{color}; color: {'#000000' if bright else '#ffffff'}"


def confusion_plot(
    counts: Counts, classes: Sequence[str], order: Sequence[int], rows: str, columns: str, *, key: str
) -> tuple[int, int] | None:
    """Counts K×K in that order of the classes; the cell that the user clicked, as (row's class, column's class)."""
    # Of many classes only those that occur: an image of one, or one taken for it.
    many = len(order) > MAX_CELLS
    shown = [n for n in order if not many or counts[n].any() or counts[:, n].any()]
    large = len(shown) > MAX_CELLS
    ordered = counts[np.ix_(shown, shown)]
    names, ticks = [classes[n] for n in shown], tick_names(classes, shown)
    there = np.argwhere(ordered > 0)
    words = [f"{rows} {names[i]}<br>{columns} {names[j]}<br>{ordered[i, j]} images" for i, j in there]
    if large:  # cells would be smaller than a pixel: a mark for each, the larger the more
        marker = {
            "size": [5 + 3 * np.log2(ordered[i, j]) for i, j in there],
            "color": ["#009E73" if i == j else "#D55E00" for i, j in there],
            "opacity": 0.85,
            "line": {"width": 0},
        }
    else:
        marker = {"symbol": "square", "size": 30, "opacity": 0}
    marks = go.Scatter(
        x=[ticks[j] for j in there[:, 1]] if large else there[:, 1],
        y=[ticks[i] for i in there[:, 0]] if large else there[:, 0],
        mode="markers",
        customdata=[(shown[i], shown[j], int(ordered[i, j])) for i, j in there],
        text=words,
        hovertemplate="%{text}<extra></extra>",
        marker=marker,
        selected={"marker": {"opacity": marker["opacity"]}},
        unselected={"marker": {"opacity": marker["opacity"]}},
    )
    figure = go.Figure()
    if not large:  # a heat map gives no clicks; invisible marks on its cells do
        shades = np.log1p(ordered).astype(np.float32)
        figure.add_trace(go.Heatmap(z=shades, colorscale="Cividis", showscale=False, hoverinfo="skip"))
    figure.add_trace(marks)
    if not large:
        figure.add_trace(
            go.Scatter(
                x=there[:, 1],
                y=there[:, 0],
                mode="text",
                text=[str(ordered[i, j]) for i, j in there],
                textfont={"color": [count_color(ordered, i, j) for i, j in there]},
                hoverinfo="skip",
            )
        )
    style(figure, height=620 if large else max(340, min(30 * len(shown) + 130, 900)))
    figure.update_layout(showlegend=False, dragmode="zoom" if large else False)
    # Categories thin themselves out so that every name can be read, and show more of them when the user zooms in.
    sides = (
        {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": ticks,
            "nticks": MAX_TICKS,
            "tickfont": {"size": 10},
        }
        if large
        else {"tickvals": list(range(len(shown))), "ticktext": ticks}
    )
    if large:
        figure.update_xaxes(tickangle=-60)
    edges = [-0.5, len(shown) - 0.5]
    figure.update_xaxes(title=columns, range=edges, zeroline=False, **sides)
    figure.update_yaxes(title=rows, range=edges[::-1], zeroline=False, **sides)
    hits = int(np.trace(ordered))
    event = st.plotly_chart(
        figure,
        key=key,
        on_select="rerun",
        selection_mode="points",
        config={**CONFIG, "scrollZoom": large},
        theme="streamlit",
        alt=f"Confusion matrix, {rows} by {columns}: {hits} of {int(ordered.sum())} images on the diagonal",
    )
    save_menu(partial(confusion_figure, ordered, ticks, rows, columns), key, "confusion")
    for point in event["selection"]["points"]:
        if point.get("customdata"):
            return int(point["customdata"][0]), int(point["customdata"][1])
    return None


def curves_plot(findings: Metrics, classifier: int, *, key: str) -> bool:
    """Accuracy against eps with its intervals, a line a defense and attacker; False where no attack has several eps."""
    plan = findings.plan
    unit = domains.get(plan.domain).linf.unit
    for number, group in enumerate(_by_attack(curves(findings, classifier))):
        figure = go.Figure()
        for curve in group:
            spans = [wilson(share.successes, share.count) for share in curve.proportions]
            values = [share.value for share in curve.proportions]
            figure.add_trace(
                go.Scatter(
                    x=[budget_scale(unit) * eps for eps in curve.eps],
                    y=values,
                    name=column_title(plan, curve.column),
                    mode="lines+markers",
                    line={"dash": DASHES[curve.column.attacker], "width": 2, "color": column_color(curve.column)},
                    error_y={
                        "array": [high - v for (_, high), v in zip(spans, values, strict=True)],
                        "arrayminus": [v - low for (low, _), v in zip(spans, values, strict=True)],
                        "thickness": 1,
                    },
                )
            )
        figure.update_xaxes(title=eps_title(unit))
        figure.update_yaxes(title="accuracy", range=[0, 1.02], tickformat=".0%")
        style(figure, height=380)
        st.plotly_chart(
            figure,
            key=f"{key}_{number}",
            config=CONFIG,
            theme="streamlit",
            alt=f"Accuracy under {group[0].attack} by eps",
        )
        save_menu(partial(accuracy_figure, plan, group), f"{key}_{number}", "accuracy_by_eps")
    return bool(curves(findings, classifier))


def _by_attack(result: Sequence[Curve]) -> list[list[Curve]]:
    names = list(dict.fromkeys(curve.attack for curve in result))
    return [[curve for curve in result if curve.attack == name] for name in names]


def times_plot(findings: Metrics, classifier: int, *, key: str) -> None:
    """What each defense takes for one image, on a logarithmic axis (LGS, figure 3)."""
    plan = findings.plan
    seconds = {plan.defense_title(n): findings.seconds(n, classifier) for n in range(len(plan.defenses))}
    ranked = sorted((s, title) for title, s in seconds.items() if np.isfinite(s) and s > 0)
    if not ranked:
        st.caption("No defense was measured yet.")
        return
    titles, values = [title for _, title in ranked], [1000 * s for s, _ in ranked]
    words = [duration(s) for s, _ in ranked]
    figure = go.Figure(
        go.Bar(y=titles, x=values, orientation="h", marker_color="#009E73", text=words, textposition="outside")
    )
    figure.update_xaxes(
        type="log",
        dtick=1,
        exponentformat="none",
        title="ms per image",
        range=[np.log10(min(values)) - 0.5, np.log10(max(values)) + 0.7],
    )
    figure.update_yaxes(autorange="reversed")
    style(figure, height=90 + 34 * len(titles))
    st.plotly_chart(figure, key=key, config=CONFIG, theme="streamlit", alt="Time of each defense: " + ", ".join(words))
    save_menu(partial(times_figure, titles, values, words), key, "times")
