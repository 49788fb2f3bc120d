"""Runs with predictions that a test chooses: nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.evaluate.compute import Predictions, TaskResult
from core.evaluate.plan import Plan
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task, judged_defenses, tasks

Predict = Callable[[Task, int, npt.NDArray[np.int64]], npt.NDArray[np.integer]]


def correctly(task: Task, defense: int, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.integer]:
    """Everything is right."""
    return labels


def task_result(run: RunStore, task: Task, predict: Predict = correctly, target: int = -1) -> TaskResult:
    """The result of a task; the classes come from `predict(task, defense, labels of the batch)`."""
    if task.batch is None:
        return TaskResult(
            seconds=0.5, extras={"patch": np.ones((1, 5, 5), np.float32), "stencil": np.ones((1, 5, 5), np.float32)}
        )
    labels = run.labels[task.batch * run.plan.batch : (task.batch + 1) * run.plan.batch]
    size = len(labels)
    predictions = {
        defense: Predictions(
            np.asarray(predict(task, defense, labels), np.int32),
            np.full(size, 0.9, np.float32),
            np.full(size, 0.5, np.float32),
            0.01,
        )
        for defense in judged_defenses(run.plan, task)
    }
    targets = np.full(size, -1 if task.attack < 0 else target, np.int32)
    targets[labels == target] = -1
    scores = {n: np.linspace(0, 1, size).astype(np.float32) for n in range(len(run.plan.detectors))}
    pixels = tuple(np.full((28, 28, 1), 100, np.uint8) for _ in range(size)) if task.attack >= 0 else ()
    return TaskResult(predictions, targets, 0.25, scores, pixels)


def fill(
    plan: Plan, path: Path | None = None, predict: Predict = correctly, most: int = 10**6, target: int = -1
) -> Plan:
    """A run of that plan with its first `most` tasks done; gives the plan as the run has it."""
    with RunStore.create(plan, "cpu", path) as run:
        for number, task in enumerate(tasks(plan)):
            if number < most:
                run.add(task, task_result(run, task, predict, target))
        return run.plan
