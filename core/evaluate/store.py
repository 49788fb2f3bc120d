"""Results on disk: one SQLite file a run, in which every unit is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import platform
import struct
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core import domains, images
from core.evaluate import database
from core.evaluate.database import ENDING, Database, damaged, quoted
from core.evaluate.plan import BARE, CLEAN, Plan, Unit, kinds, unit_count, units
from core.evaluate.work import Found, Ints, drawn, signature
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.recipe.engine import Floats

_VERSION = 2
_LATEST = 250_000_000_000.0  # seconds since 1970 that a calendar still knows
_SIDE = 1024  # pixels of a kept image's side; no classifier here takes larger ones
_ABOUT = ("version", "plan", "numbers", "labels", "began", "versions", "device", "owner")


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

    def __init__(self, path: Path, patience: float = 30.0, seconds: float = database.SECONDS) -> None:
        """Open a run that is there.

        Args:
            patience: seconds to wait for others who write into it.
            seconds: that one question to it may take.

        Raises:
            BadInput: there is none, or its file is damaged.
        """
        self.path = path
        self.database = Database(path, patience, seconds)
        try:
            question = f"SELECT key, value FROM about WHERE key IN ({', '.join('?' * len(_ABOUT))})"
            self._read(dict(self.database.ask(question, _ABOUT)))
        except BadInput:
            self.close()
            raise
        except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
            self.close()
            raise self._damaged() from error

    def _read(self, about: dict[str, Any]) -> None:
        """Take over what the file says about itself; whatever does not fit together is damage."""
        if about["version"] != _VERSION:
            raise BadInput(f"The run {quoted(self.path.stem)} was written by another version of Mirage; run it again.")
        if not isinstance(about["plan"], str) or len(about["plan"]) > 1_000_000:
            raise self._damaged()
        try:
            self.plan = Plan.from_json(about["plan"])
        except BadInput as error:
            raise BadInput(f"The plan of the run {quoted(self.path.stem)} cannot be used: {error}") from error
        self.numbers: npt.NDArray[np.int64] = self._values(about["numbers"], "<i8", self.plan.n_images).astype(np.int64)
        self.labels: npt.NDArray[np.int64] = self._values(about["labels"], "<i8", self.plan.n_images).astype(np.int64)
        classes = len(domains.get(self.plan.domain).classes)
        if self.numbers.min() < 0 or self.labels.min() < 0 or self.labels.max() >= classes:
            raise self._damaged()
        self.began, self.versions, self.device = float(about["began"]), about["versions"], about["device"]
        self.owner = about.get("owner", "")
        if not 0 <= self.began < _LATEST or not all(
            isinstance(text, str) and len(text) < 500 for text in (self.versions, self.device, self.owner)
        ):
            raise self._damaged()

    @classmethod
    def create(cls, plan: Plan, device: str, path: Path | None = None, owner: str = "") -> Run:
        """The run of that plan: the file that is there already, or a new one with nothing done.

        Args:
            owner: who begins it; '' for the command line.

        Raises:
            BadInput: its file is damaged or holds another plan; the data are not here; it cannot be written there.
        """
        plan = plan.resolved()
        path = path or folder() / f"{plan.name}{ENDING}"
        if not os.path.lexists(path):
            numbers = drawn(plan)
            labels = domains.get(plan.domain).labels(plan.split)[numbers]
            about: dict[str, Any] = {
                "version": _VERSION,
                "plan": plan.to_json(),
                "numbers": numbers.astype("<i8").tobytes(),
                "labels": labels.astype("<i8").tobytes(),
                "began": time.time(),
                "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
                "device": device,
                "owner": owner,
            }
            database.create(path, about)
        run = cls(path)
        if run.plan != plan:
            run.close()
            raise BadInput(f"{path} holds another evaluation; choose another file, or delete it.")
        return run

    def close(self) -> None:
        self.database.close()

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
        with self.database.writing() as base:
            base.execute(
                "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    unit.key,
                    unit.classifier,
                    unit.attack,
                    unit.known,
                    unit.batch,
                    found.seconds,
                    found.targets.astype("<i4").tobytes(),
                ),
            )
            base.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
                [(unit.key, number, scores.astype("<f4").tobytes()) for number, scores in found.scores.items()],
            )
            base.executemany(
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
            base.executemany(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
                [
                    (unit.classifier, unit.attack, unit.known, first + place, images.png(pixels))
                    for place, pixels in enumerate(found.pictures)
                ],
            )
            base.executemany(
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
            raise BadInput(
                f"The pictures of {domain.title} here are not those that {quoted(self.path.stem)} began with."
            )

    def check_classifier(self, number: int, classifier: Classifier) -> None:
        """Make sure that the plan's classifier of that number is the one that this run began with; the first one is remembered.

        A file of weights may be another one today under the same name.

        Raises:
            BadInput: it is another one, or the run began before classifiers were remembered.
        """
        said = signature(classifier).astype("<f4")
        key = f"classifier {number}"
        kept = self.database.ask("SELECT value FROM about WHERE key = ?", (key,))
        if not kept and number not in self.classifiers_met():
            with self.database.writing() as base:
                base.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (key, said.tobytes()))
            kept = self.database.ask("SELECT value FROM about WHERE key = ?", (key,))
        before = self._values(kept[0][0], "<f4") if kept else np.empty(0, "<f4")
        # Another device or number of threads rounds otherwise; other weights say something else.
        if before.size != said.size or not np.allclose(
            before, said.ravel(), rtol=0, atol=0.01 * float(np.abs(said).max())
        ):
            raise BadInput(
                f"{classifier.title} is not the classifier here that {quoted(self.path.stem)} began with: its weights are others now. "
                "Delete the run to begin anew."
            )

    def classifiers_met(self) -> list[int]:
        """The numbers of the plan's classifiers that something was computed with."""
        return sorted({kind[0] for kind in self._tally()})

    def done(self) -> set[str]:
        """The keys of the units that are kept."""
        keys = {key for (key,) in self.database.ask("SELECT key FROM units", most=unit_count(self.plan))}
        if not all(isinstance(key, str) for key in keys):
            raise self._damaged()
        return keys

    def pending(self) -> tuple[list[Unit], int]:
        """The units that are still to be computed, in order, and how many there are in all."""
        done = self.done()
        return [unit for unit in units(self.plan) if unit.key not in done], unit_count(self.plan)

    def progress(self) -> tuple[int, int]:
        """How many units are done, of how many."""
        return sum(count for _, count in self._tally().values()), unit_count(self.plan)

    def cell(self, classifier: int, attack: int, known: int, defense: int) -> Cell:
        """What is known so far of one attack (CLEAN for none), by an attacker who knows `known` (or BARE), behind one defense."""
        count, classes = len(self.labels), len(domains.get(self.plan.domain).classes)
        predicted, targets = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
        confidence, true = np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)
        seconds: list[float] = []
        rows = self.database.ask(
            "SELECT batch, targets, predicted, confidence, true_confidence, answers.seconds FROM units JOIN answers "
            "ON unit = key WHERE classifier = ? AND attack = ? AND known = ? AND defense = ? AND batch IS NOT NULL",
            (classifier, attack, known, defense),
            most=self._batches,
        )
        for batch, aims, said, shares, true_shares, spent in rows:
            place = self._place(batch)
            size = place.stop - place.start
            predicted[place] = self._values(said, "<i4", size, low=0, high=classes - 1)
            targets[place] = self._values(aims, "<i4", size, low=-1, high=classes - 1)
            confidence[place] = self._values(shares, "<f4", size, low=-0.01, high=1.01)
            true[place] = self._values(true_shares, "<f4", size, low=-0.01, high=1.01)
            seconds.append(self._seconds(spent) / size)
        # The middle one of the batches: in the first one, what is compiled may still be loading.
        return Cell(predicted, confidence, true, targets, float(np.median(seconds)) if seconds else float("nan"))

    def scores(self, classifier: int, attack: int, detector: int = 0) -> Floats:
        """A detector's scores under one attack on the bare classifier, N; NaN where there are none yet."""
        result = np.full(len(self.labels), np.nan, np.float32)
        rows = self.database.ask(
            "SELECT batch, scores.scores FROM units JOIN scores ON unit = key "
            "WHERE classifier = ? AND attack = ? AND known = ? AND detector = ? AND batch IS NOT NULL",
            (classifier, attack, BARE, detector),
            most=self._batches,
        )
        for batch, data in rows:
            place = self._place(batch)
            result[place] = self._values(data, "<f4", place.stop - place.start)
        return result

    def attack_seconds(self) -> dict[tuple[int, int, int, bool], tuple[float, int]]:
        """Seconds that the units of each kind took together, and how many there were."""
        return self._tally()

    def picture(self, classifier: int, attack: int, known: int, position: int) -> images.Pixels | None:
        """An attacked picture as it was judged, None where it was not kept; without an attack, the clean one."""
        if attack == CLEAN:
            return None
        rows = self.database.ask(
            "SELECT png FROM pictures WHERE classifier = ? AND attack = ? AND known = ? AND position = ?",
            (classifier, attack, known, position),
        )
        if not rows:
            return None
        data = rows[0][0]
        # Width and height stand at the beginning of a PNG file: a small one may claim millions of pixels.
        if not isinstance(data, bytes) or len(data) < 24 or max(struct.unpack(">II", data[16:24])) > _SIDE:
            raise self._damaged()
        return images.from_png(data)

    def extras(self, unit: Unit) -> dict[str, Floats]:
        """What a universal attack made."""
        rows = self.database.ask("SELECT name, shape, data FROM extras WHERE unit = ?", (unit.key,), most=100)
        made: dict[str, Floats] = {}
        for name, text, data in rows:
            try:
                shape = json.loads(text)
                sides = [int(side) for side in shape]
            except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
                raise self._damaged() from error
            if not isinstance(name, str) or len(sides) > 4 or any(not 1 <= side <= 4 * _SIDE for side in sides):
                raise self._damaged()
            values = self._values(data, "<f4", math.prod(sides)).reshape(sides).astype(np.float32)
            if not np.isfinite(values).all():
                raise self._damaged()
            made[name] = values
        return made

    # Checks of what was read

    @property
    def _batches(self) -> int:
        return -(-self.plan.n_images // self.plan.batch)

    @cached_property
    def _kinds(self) -> set[tuple[int, int, int, bool]]:
        return set(kinds(self.plan))

    def _tally(self) -> dict[tuple[int, int, int, bool], tuple[float, int]]:
        """Seconds and number of the units of each kind that are kept; units that the plan does not have are damage."""
        rows = self.database.ask(
            "SELECT classifier, attack, known, batch IS NULL, sum(seconds), count(*), min(batch), max(batch), "
            "min(seconds), max(seconds) FROM units GROUP BY 1, 2, 3, 4",
            most=len(self._kinds),
        )
        tally = {}
        for classifier, attack, known, whole, total, count, first, last, *spent in rows:
            kind = (classifier, attack, known, bool(whole))
            if kind not in self._kinds or count > (1 if whole else self._batches):
                raise self._damaged()
            if not whole:
                self._place(first), self._place(last)
            for seconds in (total, *spent):
                self._seconds(seconds)
            tally[kind] = (float(total), count)
        return tally

    def _place(self, batch: Any) -> slice:
        """Which images are in that batch."""
        if not isinstance(batch, int) or not 0 <= batch < self._batches:
            raise self._damaged()
        return slice(batch * self.plan.batch, min((batch + 1) * self.plan.batch, self.plan.n_images))

    def _seconds(self, value: Any) -> float:
        if not isinstance(value, float) or not 0 <= value < math.inf:
            raise self._damaged()
        return value

    def _values(
        self, data: Any, kind: str, size: int | None = None, low: float = -math.inf, high: float = math.inf
    ) -> npt.NDArray[Any]:
        """A column's bytes as `size` numbers from `low` to `high`; NaN is a number that a classifier may give."""
        if not isinstance(data, bytes) or len(data) % np.dtype(kind).itemsize:
            raise self._damaged()
        values = np.frombuffer(data, kind)
        if (size is not None and len(values) != size) or bool(((values < low) | (values > high)).any()):
            raise self._damaged()
        return values

    def _damaged(self) -> BadInput:
        return BadInput(damaged(self.path))
