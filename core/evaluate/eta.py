"""The time that an evaluation still takes."""

from __future__ import annotations

from core.attacks import Step
from core.evaluate.plan import NO_ATTACK
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task, TaskKind


class EtaEstimator:
    """Estimates the seconds that are left from what the tasks of each kind took.

    Args:
        run: whose finished tasks count. pending: the tasks that are left.
    """

    def __init__(self, run: RunStore, pending: list[Task]) -> None:
        self.spent = run.attack_seconds()
        self.pending: dict[TaskKind, int] = {}
        for task in pending:
            self.pending[task.kind] = self.pending.get(task.kind, 0) + 1
        self.guesses: dict[TaskKind, float] = {}

    @property
    def n_pending(self) -> int:
        """How many tasks are left."""
        return sum(self.pending.values())

    def observe_step(self, task: Task, seconds: float, step: Step) -> None:
        """Take in that a task needed so many seconds up to that step; it counts until a task of its kind is finished."""
        if step.number:
            self.guesses[task.kind] = seconds * step.total / step.number

    def finish(self, task: Task, seconds: float) -> None:
        """Take in what a finished task took."""
        total, count = self.spent.get(task.kind, (0.0, 0))
        self.spent[task.kind] = (total + seconds, count + 1)
        self.pending[task.kind] -= 1

    def seconds(self) -> float | None:
        """Seconds that are left; an attack that was not seen yet counts as the mean of the others. None without any."""
        means = self.guesses | {kind: total / count for kind, (total, count) in self.spent.items()}
        attacks = [mean for (_, attack, _, _), mean in means.items() if attack != NO_ATTACK]
        unseen = [kind for kind, count in self.pending.items() if count and kind not in means]
        if unseen and not attacks:
            return None
        typical = sum(attacks) / len(attacks) if attacks else 0.0
        return sum(count * means.get(kind, typical) for kind, count in self.pending.items())
