"""The time that an attack takes, without the time that reporting its progress takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.progress import OnProgress, Progress


class Stopwatch:
    """Seconds of work without those in which `on_progress` kept it waiting: others may have had the device meanwhile."""

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

    def beside(self, on_progress: OnProgress | None) -> OnProgress | None:
        """The same callback; its own time is not counted."""
        if on_progress is None:
            return None

        def uncounted(progress: Progress) -> bool | None:
            with self.waiting():
                return on_progress(progress)

        return uncounted
