"""The runs that are kept: listed, opened by name, deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.evaluate.plan import Plan
from core.evaluate.store import ENDING, Run, folder
from core.inputs import BadInput


@dataclass(frozen=True)
class Listed:
    """One line of the list of runs; `problem` is a sentence where the file cannot be read."""

    name: str
    plan: Plan | None
    began: float
    done: int
    total: int
    bytes: int
    problem: str = ""


def listed() -> list[Listed]:
    """All runs that are kept, the newest first."""
    found = []
    for path in folder().glob(f"*{ENDING}") if folder().is_dir() else ():
        size = path.stat().st_size
        try:
            with Run(path) as run:
                found.append(Listed(path.stem, run.plan, run.began, *run.progress(), size))
        except BadInput as error:
            found.append(Listed(path.stem, None, path.stat().st_mtime, 0, 0, size, str(error)))
    return sorted(found, key=lambda one: -one.began)


def opened(name: str) -> Run:
    """The run of that name.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    return Run(_path(name))


def delete(name: str) -> None:
    """Delete a run for good."""
    _path(name).unlink(missing_ok=True)


def _path(name: str) -> Path:
    """A run's file; a name that would lead out of the folder is none."""
    if not name or Path(name).name != name or name.startswith("."):
        raise BadInput(f"There is no run called {name[:60]!r}.")
    return folder() / f"{name}{ENDING}"
