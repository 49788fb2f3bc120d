"""Results on disk: one SQLite file a run, in which every unit is written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core import domains, images
from core.evaluate.plan import BARE, CLEAN, Plan, Unit, units
from core.evaluate.work import Floats, Found, Ints, drawn, signature
from core.inputs import BadInput
from core.models.classifier import Classifier

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE units (key TEXT PRIMARY KEY, classifier INT, attack INT, known INT, batch INT, seconds REAL,
                    targets BLOB, scores BLOB);
CREATE TABLE answers (unit TEXT, defense INT, predicted BLOB, confidence BLOB, true_confidence BLOB, seconds REAL,
                      PRIMARY KEY (unit, defense));
CREATE TABLE pictures (classifier INT, attack INT, known INT, position INT, png BLOB,
                       PRIMARY KEY (classifier, attack, known, position));
CREATE TABLE extras (unit TEXT, name TEXT, shape TEXT, data BLOB, PRIMARY KEY (unit, name));
"""
_VERSION = 1
ENDING = ".sqlite"


def folder() -> Path:
    """Where runs are kept."""
    return domains.data_root() / "runs"


@dataclass(frozen=True)
class Cell:
    """What one classifier said behind one defense of every picture under one attack; −1 and NaN where it is not known yet.

    Attributes:
        predicted: int32 N. confidence: of that class, N. true_confidence: N. targets: −1 for none, N.
        seconds: what the defense took for one picture, in the middle one of the batches; NaN where nothing was measured.
    """

    predicted: Ints
    confidence: Floats
    true_confidence: Floats
    targets: Ints
    seconds: float

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which pictures were looked at already."""
        return self.predicted >= 0


class Run:
    """One run's file. A reader and a writer may have it open at once, each with a `Run` of its own."""

    def __init__(self, path: Path) -> None:
        """Open a run that is there.

        Raises:
            BadInput: there is none, or its file is damaged.
        """
        if not path.exists():
            raise BadInput(f"There is no run called {path.stem!r}.")
        self.path = path
        with self._speaking():
            self._base = sqlite3.connect(path, timeout=30, check_same_thread=False)
            about = dict(self._base.execute("SELECT key, value FROM about"))
        try:
            if int(about["version"]) != _VERSION:
                raise BadInput(f"The run {path.stem!r} was written by another version of Mirage; run it again.")
            self.plan = Plan.from_json(about["plan"])
            self.numbers: npt.NDArray[np.int64] = np.frombuffer(about["numbers"], np.int64)
            self.labels: npt.NDArray[np.int64] = np.frombuffer(about["labels"], np.int64)
            self.began, self.versions, self.device = float(about["began"]), str(about["versions"]), str(about["device"])
        except (KeyError, ValueError) as error:
            self.close()
            if isinstance(error, BadInput):
                raise
            raise BadInput(_damaged(path)) from error

    @classmethod
    def create(cls, plan: Plan, device: str, path: Path | None = None) -> Run:
        """The run of that plan: the file that is there already, or a new one with nothing done.

        Raises:
            BadInput: its file is damaged or holds another plan; the data are not here; the disk is full.
        """
        plan = plan.resolved()
        path = path or folder() / f"{plan.name}{ENDING}"
        if path.exists():
            run = cls(path)
            if run.plan != plan:
                run.close()
                raise BadInput(f"{path} holds another evaluation; choose another file, or delete it.")
            return run
        numbers = drawn(plan)
        labels = domains.get(plan.domain).labels(plan.split)[numbers]
        about: dict[str, Any] = {
            "version": _VERSION,
            "plan": plan.to_json(),
            "numbers": numbers.astype(np.int64).tobytes(),
            "labels": labels.astype(np.int64).tobytes(),
            "began": time.time(),
            "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
            "device": device,
        }
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            base = sqlite3.connect(partial)
            with base:
                base.executescript(_SCHEMA)
                base.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            base.close()
            _move(partial, path)
        except (OSError, sqlite3.Error) as error:
            partial.unlink(missing_ok=True)
            raise BadInput(
                f"The run cannot be kept in {path.parent}: {error}. Free some space, or set MIRAGE_DATA."
            ) from error
        return cls.create(plan, device, path)

    def close(self) -> None:
        self._base.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def add(self, unit: Unit, found: Found) -> None:
        """Keep what a unit led to, whole or not at all.

        Raises:
            BadInput: the disk is full or the file is damaged; what was kept before is still there.
        """
        with self._speaking(), self._base:
            self._base.execute(
                "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    unit.key,
                    unit.classifier,
                    unit.attack,
                    unit.known,
                    unit.batch,
                    found.seconds,
                    found.targets.astype("<i4").tobytes(),
                    found.scores.astype("<f4").tobytes(),
                ),
            )
            self._base.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        unit.key,
                        number,
                        answer.predicted.astype("<i4").tobytes(),
                        answer.confidence.astype("<f4").tobytes(),
                        answer.true_confidence.astype("<f4").tobytes(),
                        answer.seconds,
                    )
                    for number, answer in found.answers.items()
                ],
            )
            first = (unit.batch or 0) * self.plan.batch
            self._base.executemany(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
                [
                    (unit.classifier, unit.attack, unit.known, first + place, images.png(pixels))
                    for place, pixels in enumerate(found.pictures)
                ],
            )
            self._base.executemany(
                "INSERT OR REPLACE INTO extras VALUES (?, ?, ?, ?)",
                [
                    (unit.key, name, json.dumps(values.shape), values.astype("<f4").tobytes())
                    for name, values in found.extras.items()
                ],
            )

    # Reading

    def check_pictures(self) -> None:
        """Make sure that the pictures of this run are those that are here now.

        Raises:
            BadInput: the data set is not on this machine, or is another one than this run began with.
        """
        domain = domains.get(self.plan.domain)
        if self.plan.split not in domain.splits():
            raise BadInput(domain.missing() or f"{domain.title} has no pictures in {self.plan.split!r} here.")
        labels = domain.labels(self.plan.split)
        if int(self.numbers.max()) >= len(labels) or not np.array_equal(labels[self.numbers], self.labels):
            raise BadInput(f"The pictures of {domain.title} here are not those that {self.path.stem!r} began with.")

    def check_classifier(self, number: int, classifier: Classifier) -> None:
        """Make sure that the plan's classifier of that number is the one that this run began with; the first one is remembered.

        A file of weights may be another one today under the same name.

        Raises:
            BadInput: it is another one, or the run began before classifiers were remembered.
        """
        said = signature(classifier).astype("<f4")
        with self._speaking(), self._base:
            kept = self._base.execute("SELECT value FROM about WHERE key = ?", (f"classifier {number}",)).fetchone()
            (units_,) = self._base.execute("SELECT COUNT(*) FROM units WHERE classifier = ?", (number,)).fetchone()
            if kept is None and not units_:
                row = (f"classifier {number}", said.tobytes())
                self._base.execute("INSERT INTO about VALUES (?, ?)", row)
                return
        before = np.frombuffer(kept[0], "<f4") if kept is not None else np.empty(0, "<f4")
        # Another device or number of threads rounds otherwise; other weights say something else.
        if before.size != said.size or not np.allclose(
            before, said.ravel(), rtol=0, atol=0.01 * float(np.abs(said).max())
        ):
            raise BadInput(
                f"{classifier.title} is not the classifier here that {self.path.stem!r} began with: its weights are others now. "
                "Delete the run to begin anew."
            )

    def classifiers_met(self) -> list[int]:
        """The numbers of the plan's classifiers that something was computed with."""
        return [number for (number,) in self._ask("SELECT DISTINCT classifier FROM units ORDER BY classifier")]

    def done(self) -> set[str]:
        """The keys of the units that are kept."""
        return {key for (key,) in self._ask("SELECT key FROM units")}

    def pending(self) -> tuple[list[Unit], int]:
        """The units that are still to be computed, in order, and how many there are in all."""
        done, every = self.done(), list(units(self.plan))
        return [unit for unit in every if unit.key not in done], len(every)

    def progress(self) -> tuple[int, int]:
        """How many units are done, of how many."""
        return int(self._ask("SELECT count(*) FROM units")[0][0]), sum(1 for _ in units(self.plan))

    def cell(self, classifier: int, attack: int, known: int, defense: int) -> Cell:
        """What is known so far of one attack (CLEAN for none), by an attacker who knows `known` (or BARE), behind one defense."""
        count = len(self.labels)
        predicted, targets = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
        confidence, true = np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)
        seconds: list[float] = []
        rows = self._ask(
            "SELECT batch, targets, predicted, confidence, true_confidence, answers.seconds FROM units JOIN answers "
            "ON unit = key WHERE classifier = ? AND attack = ? AND known = ? AND defense = ? AND batch IS NOT NULL",
            (classifier, attack, known, defense),
        )
        for batch, aims, classes, shares, true_shares, spent in rows:
            first = batch * self.plan.batch
            values = np.frombuffer(classes, "<i4")
            place = slice(first, first + len(values))
            predicted[place], targets[place] = values, np.frombuffer(aims, "<i4")
            confidence[place], true[place] = np.frombuffer(shares, "<f4"), np.frombuffer(true_shares, "<f4")
            seconds.append(spent / len(values))
        # The middle one of the batches: in the first one, what is compiled may still be loading.
        return Cell(predicted, confidence, true, targets, float(np.median(seconds)) if seconds else float("nan"))

    def scores(self, classifier: int, attack: int) -> Floats:
        """The detector's scores under one attack on the bare classifier, N; NaN where there are none yet."""
        result = np.full(len(self.labels), np.nan, np.float32)
        rows = self._ask(
            "SELECT batch, scores FROM units WHERE classifier = ? AND attack = ? AND known = ? AND batch IS NOT NULL",
            (classifier, attack, BARE),
        )
        for batch, data in rows:
            values = np.frombuffer(data, "<f4")
            result[batch * self.plan.batch :][: len(values)] = values
        return result

    def attack_seconds(self) -> dict[tuple[int, int, int, bool], tuple[float, int]]:
        """Seconds that the units of each kind took together, and how many there were."""
        rows = self._ask(
            "SELECT classifier, attack, known, batch IS NULL, sum(seconds), count(*) FROM units GROUP BY 1, 2, 3, 4"
        )
        return {(c, a, k, bool(whole)): (float(seconds), int(count)) for c, a, k, whole, seconds, count in rows}

    def picture(self, classifier: int, attack: int, known: int, position: int) -> images.Pixels | None:
        """An attacked picture as it was judged, None where it was not kept; without an attack, the clean one."""
        if attack == CLEAN:
            return None
        rows = self._ask(
            "SELECT png FROM pictures WHERE classifier = ? AND attack = ? AND known = ? AND position = ?",
            (classifier, attack, known, position),
        )
        return images.from_png(rows[0][0]) if rows else None

    def extras(self, unit: Unit) -> dict[str, Floats]:
        """What a universal attack made."""
        rows = self._ask("SELECT name, shape, data FROM extras WHERE unit = ?", (unit.key,))
        return {name: np.frombuffer(data, "<f4").reshape(json.loads(shape)).copy() for name, shape, data in rows}

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._speaking():
            return self._base.execute(question, values).fetchall()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """SQLite's complaints as sentences."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise BadInput(
                f"The run {self.path.stem!r} could not be written or read: {error}. What was kept before is still there; "
                "free some space and go on."
            ) from error
        except sqlite3.DatabaseError as error:
            raise BadInput(_damaged(self.path)) from error


def _move(partial: Path, path: Path) -> None:
    """Put a file in its place, whole or not at all; whoever did so in the meantime, and may be writing into theirs, was first."""
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # no links on this disk
        partial.replace(path)
    partial.unlink(missing_ok=True)


def _damaged(path: Path) -> str:
    return f"The results of {path.stem!r} are damaged; delete them, or put a copy into {path.parent}, and go on. Other runs are whole."
