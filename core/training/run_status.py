"""Where a training run stands, as a file in its folder says it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from core import disk, files
from core.inputs import InvalidInput

State = Literal["running", "stopped", "done", "failed", "interrupted"]


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: 'interrupted' is a run whose process ended without a word.
        text: what is done at the moment. step: of `steps` of all stages.
        started, updated: seconds since 1970, of the process and of this note.
        since_step, since: where and when the pace begins to be measured: where the process, or what it does now, began.
        error: a sentence, where it failed.
    """

    state: State = "running"
    text: str = ""
    step: int = 0
    steps: int = 0
    started: float = 0.0
    updated: float = 0.0
    error: str = ""
    since_step: int = 0
    since: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None where nobody can tell."""
        done = self.step - self.since_step
        if self.state != "running" or done <= 0 or not self.since:
            return None
        return max(0.0, (self.updated - self.since) / done * (self.steps - self.step))


def write_status(folder: Path, status: Status) -> None:
    """Write where a run stands, whole or not at all."""
    disk.write_whole(folder / "status.json", json.dumps(asdict(status)).encode())


def read_status(folder: Path) -> Status:
    """Where the run in that folder stands; 'interrupted' where the file is damaged, or says 'running' and no process trains there."""
    try:
        values = json.loads(files.read_bytes(folder / "status.json", 10_000))
        status = Status(**values)
        numbers = (status.step, status.steps, status.started, status.updated, status.since_step, status.since)
        if status.state not in State.__args__ or not all(map(_is_count, numbers)):  # type: ignore[attr-defined]
            raise ValueError("no status")
        if not (isinstance(status.text, str) and isinstance(status.error, str)):
            raise ValueError("no status")
    except (InvalidInput, ValueError, TypeError, RecursionError):
        return Status("interrupted")
    if status.state == "running" and not _is_alive(folder, status):
        return Status(**{**asdict(status), "state": "interrupted"})
    return status


def _is_count(value: object) -> bool:
    """Whether it is a number that counts something or tells a time of this century."""
    return isinstance(value, int | float) and 0 <= value < 1e11  # false for NaN, too


def _is_alive(folder: Path, status: Status) -> bool:
    """Whether a process trains there; one that was only just started has no lock yet."""
    if status.text == "starting" and time.time() - status.updated < 60:
        return True
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False
