"""The time that an attack takes, without the time that its watcher takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.attacks import Step

OnStep = Callable[[Step], bool | None]  # sees each step of an attack; True stops it


class Stopwatch:
    """Seconds of work without those in which a watcher kept it waiting: others may have had the device meanwhile."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.began, self.waited = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.waited

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens inside is not counted."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - began

    def beside(self, on_step: OnStep | None) -> OnStep | None:
        """The watcher, whose own time is not counted."""
        if on_step is None:
            return None

        def uncounted(step: Step) -> bool | None:
            with self.waiting():
                return on_step(step)

        return uncounted
