"""Taking turns on the device: one thread computes at a time, and hands the device over between its steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

INTERACTIVE, EVALUATION = 0, 1  # what somebody waits for in front of a screen comes first
QUANTUM = 0.05  # seconds that a turn lasts at least: threads that change places at every step of 1 ms do nothing else
OVERDUE = 5.0  # who waited for so many seconds comes first, whatever waits beside


@dataclass(eq=False)
class _Turn:
    rank: int
    what: str
    cancelled: Callable[[], bool]
    since: float  # when it began to wait, or to compute
    thread: int = field(default_factory=threading.get_ident)


class DeviceLock:
    """A lock that is fair: first come, first served, interactive work before evaluations, and nobody waits for long.

    Args:
        quantum: seconds that a turn lasts at least.
        overdue: seconds after which whoever waits comes first.
    """

    def __init__(self, quantum: float = QUANTUM, overdue: float = OVERDUE) -> None:
        self.quantum, self.overdue = quantum, overdue
        self._changed = threading.Condition()
        self._waiting: list[_Turn] = []
        self._holder: _Turn | None = None

    @contextmanager
    def turn(self, rank: int, what: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Compute inside when the turn comes. Gives False, and no turn, where it was cancelled before.

        Args:
            rank: INTERACTIVE or EVALUATION.
            what: what is computed, for those who wait.
            cancelled: whether nobody waits for the work any more.
        """
        mine = _Turn(rank, what, cancelled, time.monotonic())
        with self._changed:
            self._waiting.append(mine)
            got = self._wait(mine, may_leave=True)
        try:
            yield got
        finally:
            if got:
                with self._changed:
                    self._holder = None
                    self._changed.notify_all()

    def hand_over(self) -> float:
        """Between two steps: let others compute, if others wait; the seconds that passed until the turn came again.

        A thread that has no turn goes on at once.
        """
        with self._changed:
            mine, now = self._holder, time.monotonic()
            if mine is None or mine.thread != threading.get_ident() or now - mine.since < self.quantum:
                return 0.0
            if all(other.rank > mine.rank and not self._first(other, now) for other in self._waiting):
                return 0.0
            self._holder, mine.since = None, now
            self._waiting.append(mine)
            self._changed.notify_all()
            self._wait(mine, may_leave=False)
            return time.monotonic() - now

    def computing(self) -> str:
        """What is being computed, empty where nothing is."""
        holder = self._holder
        return holder.what if holder is not None else ""

    def _wait(self, mine: _Turn, *, may_leave: bool) -> bool:
        while self._holder is not None or self._next() is not mine:
            if may_leave and mine.cancelled():
                self._waiting.remove(mine)
                self._changed.notify_all()
                return False
            self._changed.wait(0.1)  # not longer: nobody tells of a cancellation
        self._waiting.remove(mine)
        self._holder, mine.since = mine, time.monotonic()
        return True

    def _next(self) -> _Turn:
        now = time.monotonic()
        return min(self._waiting, key=lambda turn: (-1 if self._first(turn, now) else turn.rank, turn.since))

    def _first(self, turn: _Turn, now: float) -> bool:
        """Whether it comes before all others: it waited long, or it was cancelled and only has to end."""
        return now - turn.since >= self.overdue or turn.cancelled()
