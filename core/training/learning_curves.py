"""The curves of a run as lines to draw: each loss and metric of each stage against the epoch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import Any

from core.training import runs
from core.training.runs import TrainingRun

MAX_POINTS = 500  # of a line; of more, neighbors are averaged
MAX_LINES = 24


@dataclass(frozen=True)
class LearningCurve:
    """One loss or metric of one stage.

    Attributes:
        stage: from 0.
        epochs: how far the training was, in epochs of that stage. values: the means over the steps before.
    """

    stage: int
    name: str
    is_loss: bool
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def learning_curves(run: TrainingRun) -> list[LearningCurve]:
    """The losses and metrics of a run by stage, the losses first; what is damaged is left out."""
    curves: dict[tuple[int, bool, str], list[tuple[float, float]]] = {}
    lines = [line for line in runs.curves(run) if all(_is_whole(line.get(word)) for word in ("stage", "epoch", "step"))]
    lengths = _epoch_lengths(run, lines)
    for line in lines:
        metrics = line.get("metrics")
        for is_loss, values in ((True, line["losses"]), (False, metrics if isinstance(metrics, dict) else {})):
            for name, value in values.items():
                if isinstance(value, int | float) and abs(value) < 1e30:  # false for NaN, too
                    epoch = line["step"] / lengths[line["stage"]]
                    curves.setdefault((line["stage"], not is_loss, name[:80]), []).append((epoch, float(value)))
    return [
        LearningCurve(stage, name, not is_metric, *_thin(points))
        for (stage, is_metric, name), points in sorted(curves.items(), key=lambda item: item[0][:2])[:MAX_LINES]
    ]


def curves_table(run: TrainingRun) -> str:
    """The lines of the curves as CSV: stage, epoch, step, learning rate, then each loss and each metric."""
    lines = runs.curves(run)
    names = list(
        dict.fromkeys((part, n) for part in ("losses", "metrics") for line in lines for n in _dict(line, part))
    )
    rows = [["stage", "epoch", "step", "lr", *(name for _, name in names)]]
    for line in lines:
        values = [line.get(word) for word in ("stage", "epoch", "step", "lr")]
        values += [_dict(line, part).get(name) for part, name in names]
        rows.append([json.dumps(value) if isinstance(value, int | float) else "" for value in values])
    return "".join(",".join(_cell(value) for value in row) + "\n" for row in rows)


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n\r') else text


def _dict(line: dict[str, Any], part: str) -> dict[str, Any]:
    values = line.get(part)
    return values if isinstance(values, dict) else {}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12


def _epoch_lengths(run: TrainingRun, lines: list[dict[str, Any]]) -> dict[int, int]:
    """The steps of an epoch of each stage.

    The last line of an epoch that is over says it. Before that it follows from the steps of all stages, which share the images.
    """
    lengths: dict[int, int] = {}
    last: dict[int, dict[str, Any]] = {}
    for line in lines:
        stage, before = line["stage"], last.get(line["stage"])
        if before is not None and line["epoch"] == before["epoch"] + 1 and before["epoch"]:
            lengths[stage] = max(1, before["step"] // before["epoch"])
        last[stage] = line
    stages = run.plan.stages if run.plan is not None else ()
    for number, line in last.items():
        if number in lengths:
            continue
        length = 0.0
        if number < len(stages) and run.status.steps:
            share = [stage.repeats_per_epoch / stage.batch for stage in stages]
            total = sum(stage.epochs * part for stage, part in zip(stages, share, strict=True))
            length = run.status.steps * share[number] / total
        lengths[number] = max(1, round(length), ceil(line["step"] / max(1, line["epoch"])))
    return lengths


def _thin(points: list[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Epochs and values, of many neighbors the last epoch and the mean value."""
    every = -(-len(points) // MAX_POINTS)
    groups = [points[start : start + every] for start in range(0, len(points), every)]
    means = [sum(value for _, value in group) / len(group) for group in groups]
    return tuple(group[-1][0] for group in groups), tuple(means)
