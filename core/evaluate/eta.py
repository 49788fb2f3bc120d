"""The time that an evaluation still takes."""

from __future__ import annotations

from statistics import fmean

from core.evaluate.plan import FIRST_CERTIFICATE, NO_ATTACK
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

    def observe(self, task: Task, seconds: float, done: int, total: int) -> None:
        """Take in that a task needed so many seconds for `done` of `total`; it counts until a task of its kind is finished."""
        if done:
            self.guesses[task.kind] = seconds * total / done

    def finish(self, task: Task, seconds: float) -> None:
        """Take in what a finished task took."""
        total, count = self.spent.get(task.kind, (0.0, 0))
        self.spent[task.kind] = (total + seconds, count + 1)
        self.pending[task.kind] -= 1

    def seconds(self) -> float | None:
        """Seconds that are left; an attack or certificate that was not seen yet counts as the mean of the others of that sort.

        None without any; one that did not fit its system took no time and says nothing of the others.
        """
        means = self.guesses | {kind: total / count for kind, (total, count) in self.spent.items()}
        seen: dict[bool, list[float]] = {False: [], True: []}
        for kind, mean in means.items():
            if kind[1] != NO_ATTACK and mean > 0:
                seen[_is_certificate(kind)].append(mean)
        left = 0.0
        for kind, count in self.pending.items():
            if kind in means:
                left += count * means[kind]
            elif count:
                alike = seen[_is_certificate(kind)] or seen[not _is_certificate(kind)]
                if not alike:
                    return None
                left += count * fmean(alike)
        return left


def _is_certificate(kind: TaskKind) -> bool:
    return kind[1] <= FIRST_CERTIFICATE
