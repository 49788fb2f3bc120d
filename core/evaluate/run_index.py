"""The stored runs: listed, opened by name, deleted."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from core.evaluate import database
from core.evaluate.database import ENDING, quoted
from core.evaluate.plan import Plan
from core.evaluate.store import RunStore, folder
from core.inputs import InvalidInput

LOCK_TIMEOUT = 0.5  # seconds that the list waits for others who write into a run
QUERY_TIMEOUT = 1.0  # seconds that the list waits for what a run holds
_SETTLED = 2.0  # seconds after which a file that changes once more has another time, whatever the disk's clock
_MAX_CACHED = 2000


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs; `problem` is a sentence where the file cannot be read."""

    name: str
    plan: Plan | None
    started_at: float
    done: int
    total: int
    bytes: int
    problem: str = ""
    owner: str = ""


_cache: OrderedDict[tuple[str, int, int, int], RunSummary] = OrderedDict()  # of files that have not changed since


def list_runs() -> list[RunSummary]:
    """All stored runs, the newest first; a file that cannot be read is a summary that says why."""
    try:
        names = [name.removesuffix(ENDING) for name in os.listdir(folder()) if name.endswith(ENDING)]
    except OSError:  # no folder yet, or none that may be read
        return []
    summaries = [_summary(name) for name in names if name and not name.startswith(".")]
    return sorted((summary for summary in summaries if summary is not None), key=lambda summary: -summary.started_at)


def _summary(name: str) -> RunSummary | None:
    """One run's summary; None where its file vanished meanwhile."""
    path = folder() / f"{name}{ENDING}"
    try:
        entry = path.lstat()
        target = path.stat() if path.is_symlink() else entry
    except FileNotFoundError:
        if not os.path.lexists(path):
            return None
        target = entry
    except OSError as error:
        problem = f"The run {quoted(name)} cannot be read: {error.strerror}."
        return RunSummary(name, None, 0.0, 0, 0, 0, problem)
    key = (str(path), target.st_ino, target.st_size, target.st_mtime_ns)
    if key in _cache:
        return _cache[key]
    try:
        if not _encodable(name):
            raise InvalidInput(f"The file name {quoted(name)} is not UTF-8; rename the file to open the run.")
        with RunStore(path, LOCK_TIMEOUT, QUERY_TIMEOUT) as run:
            summary = RunSummary(name, run.plan, run.started_at, *run.progress(), target.st_size, owner=run.owner)
    except InvalidInput as error:
        if not os.path.lexists(path):
            return None
        return RunSummary(name, None, target.st_mtime, 0, 0, target.st_size, str(error))
    if time.time() - target.st_mtime > _SETTLED:
        _cache[key] = summary
        while len(_cache) > _MAX_CACHED:
            _cache.popitem(last=False)
    return summary


def open_run(name: str) -> RunStore:
    """The run of that name.

    Raises:
        InvalidInput: there is none, or it is damaged.
    """
    return RunStore(_path(name))


def delete(name: str) -> None:
    """Delete a run for good, with everything that an interrupted one left beside its file.

    Raises:
        InvalidInput: it may not be deleted.
    """
    path = _path(name)
    try:
        database.remove(path)
    except OSError as error:
        raise InvalidInput(
            f"The run {quoted(name)} could not be deleted: {error.strerror}. Delete {quoted(path.name)} in {folder()} by hand."
        ) from error


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(name: str) -> Path:
    """A run's file; a name that would lead out of the folder, or that no file can have, is none."""
    try:
        length = len(os.fsencode(name + ENDING))
    except UnicodeEncodeError:
        length = 0
    if not name or not 0 < length <= 255 or "\0" in name or Path(name).name != name or name.startswith("."):
        raise InvalidInput(f"There is no run called {quoted(name)}.")
    return folder() / f"{name}{ENDING}"
