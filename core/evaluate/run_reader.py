"""Reading a run's file, every value of it checked: anybody may have put the file there."""

from __future__ import annotations

import json
import math
import struct
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from core import domains, images
from core.evaluate import database
from core.evaluate.cells import Cell, CertifiedCell
from core.evaluate.database import Database, damaged, quoted
from core.evaluate.plan import FIRST_CERTIFICATE, NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.tasks import Task, TaskKind, task_count, task_kinds, tasks
from core.inputs import InvalidInput
from core.recipe.universal import Floats

VERSION = 2
MAX_REFUSAL = 1000  # characters of the reason why a certificate does not fit
_LATEST = 250_000_000_000.0  # seconds since 1970 that a calendar still knows
_MAX_SIDE = 1024  # pixels of a saved image's side; no classifier here takes larger ones
_META = ("version", "plan", "indices", "labels", "started_at", "versions", "device", "owner")


class RunReader:
    """What a run's file holds.

    Attributes:
        plan: of the run. indices: of its images in their split, N. labels: N.
        started_at: seconds since 1970. versions, device: that it was started with. owner: who started it, '' for the command line.
    """

    def __init__(self, path: Path, lock_timeout: float = 30.0, query_timeout: float = database.QUERY_TIMEOUT) -> None:
        """Open a run.

        Args:
            lock_timeout: seconds to wait for others who write into it.
            query_timeout: seconds that one query may take.

        Raises:
            InvalidInput: there is none, or its file is damaged.
        """
        self.path = path
        self.database = Database(path, lock_timeout, query_timeout)
        try:
            query = f"SELECT key, value FROM meta WHERE key IN ({', '.join('?' * len(_META))})"
            self._parse_meta(dict(self.database.query(query, _META)))
        except InvalidInput:
            self.close()
            raise
        except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
            self.close()
            raise self._damaged() from error

    def _parse_meta(self, meta: dict[str, Any]) -> None:
        """Take over what the file says about itself; whatever does not fit together is damage."""
        if meta["version"] != VERSION:
            raise InvalidInput(
                f"The run {quoted(self.path.stem)} was written by another version of Mirage; run it again."
            )
        if not isinstance(meta["plan"], str) or len(meta["plan"]) > 1_000_000:
            raise self._damaged()
        try:
            self.plan = Plan.from_json(meta["plan"])
        except InvalidInput as error:
            raise InvalidInput(f"The plan of the run {quoted(self.path.stem)} cannot be used: {error}") from error
        n_images = self.plan.n_images
        self.indices: npt.NDArray[np.int64] = self._values(meta["indices"], "<i8", n_images).astype(np.int64)
        self.labels: npt.NDArray[np.int64] = self._values(meta["labels"], "<i8", n_images).astype(np.int64)
        classes = len(domains.get(self.plan.domain).classes)
        if self.indices.min() < 0 or self.labels.min() < 0 or self.labels.max() >= classes:
            raise self._damaged()
        self.started_at = float(meta["started_at"])
        self.versions, self.device, self.owner = meta["versions"], meta["device"], meta.get("owner", "")
        if not 0 <= self.started_at < _LATEST or not all(
            isinstance(text, str) and len(text) < 500 for text in (self.versions, self.device, self.owner)
        ):
            raise self._damaged()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def batch_indices(self, batch: int) -> list[int]:
        """The indices of a batch's images in their split."""
        indices: list[int] = self.indices[batch * self.plan.batch : (batch + 1) * self.plan.batch].tolist()
        return indices

    def done(self) -> set[str]:
        """The keys of the tasks that are stored."""
        keys = {key for (key,) in self.database.query("SELECT key FROM tasks", most=task_count(self.plan))}
        if not all(isinstance(key, str) for key in keys):
            raise self._damaged()
        return keys

    def pending(self) -> tuple[list[Task], int]:
        """The tasks that are left, in order, and how many there are in all."""
        done = self.done()
        return [task for task in tasks(self.plan) if task.key not in done], task_count(self.plan)

    def progress(self) -> tuple[int, int]:
        """How many tasks are done, of how many."""
        return sum(count for _, count in self.attack_seconds().values()), task_count(self.plan)

    def evaluated_classifiers(self) -> list[int]:
        """The numbers of the plan's classifiers that something was computed with."""
        return sorted({kind[0] for kind in self.attack_seconds()})

    def cell(self, classifier: int, attack: int, known_defense: int, defense: int) -> Cell:
        """What is stored so far of one attack behind one defense.

        Args:
            attack: NO_ATTACK for clean images. known_defense: that the attacker knows, or NO_DEFENSE.
        """
        count, classes = len(self.labels), len(domains.get(self.plan.domain).classes)
        predicted, targets = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
        confidence, true = np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)
        seconds: list[float] = []
        rows = self.database.query(
            "SELECT batch, targets, predicted, confidence, true_confidence, predictions.seconds FROM tasks JOIN predictions "
            "ON task = key WHERE classifier = ? AND attack = ? AND known_defense = ? AND defense = ? AND batch IS NOT NULL",
            (classifier, attack, known_defense, defense),
            most=self._n_batches,
        )
        for batch, target_bytes, predicted_bytes, confidence_bytes, true_bytes, batch_seconds in rows:
            where = self._batch_slice(batch)
            size = where.stop - where.start
            predicted[where] = self._values(predicted_bytes, "<i4", size, low=0, high=classes - 1)
            targets[where] = self._values(target_bytes, "<i4", size, low=-1, high=classes - 1)
            confidence[where] = self._values(confidence_bytes, "<f4", size, low=-0.01, high=1.01)
            true[where] = self._values(true_bytes, "<f4", size, low=-0.01, high=1.01)
            seconds.append(self._seconds(batch_seconds) / size)
        # The median: in the first batch, what is compiled may still be loading.
        return Cell(predicted, confidence, true, targets, float(np.median(seconds)) if seconds else float("nan"))

    def scores(self, classifier: int, attack: int, detector: int = 0) -> Floats:
        """A detector's scores under one attack on the bare classifier, N; NaN where there are none yet."""
        result = np.full(len(self.labels), np.nan, np.float32)
        rows = self.database.query(
            "SELECT batch, scores.scores FROM tasks JOIN scores ON task = key "
            "WHERE classifier = ? AND attack = ? AND known_defense = ? AND detector = ? AND batch IS NOT NULL",
            (classifier, attack, NO_DEFENSE, detector),
            most=self._n_batches,
        )
        for batch, data in rows:
            where = self._batch_slice(batch)
            result[where] = self._values(data, "<f4", where.stop - where.start)
        return result

    def certified(self, classifier: int, certificate: int, defense: int) -> CertifiedCell:
        """What is stored so far of a certificate, by its number in the plan, for a column or NO_DEFENSE."""
        count, classes = len(self.labels), len(domains.get(self.plan.domain).classes)
        predicted, certified = np.full(count, -1, np.int32), np.zeros(count, np.bool_)
        radius, evaluated = np.full(count, np.nan, np.float32), np.zeros(count, np.bool_)
        rows = self.database.query(
            "SELECT batch, tasks.seconds, predicted, certified, radius, unit, refusal FROM tasks JOIN certified ON task = key "
            "WHERE classifier = ? AND attack = ? AND known_defense = ?",
            (classifier, FIRST_CERTIFICATE - certificate, defense),
            most=self._n_batches,
        )
        unit = refusal = ""
        seconds = []
        for batch, batch_seconds, predicted_bytes, certified_bytes, radius_bytes, batch_unit, batch_refusal in rows:
            where = self._batch_slice(batch)
            if not all(isinstance(text, str) and len(text) <= MAX_REFUSAL for text in (batch_unit, batch_refusal)):
                raise self._damaged()
            if batch_refusal:
                refusal = batch_refusal
                continue
            unit = batch_unit
            size = where.stop - where.start
            predicted[where] = self._values(predicted_bytes, "<i4", size, low=-1, high=classes - 1)
            certified[where] = self._values(certified_bytes, "<i4", size, low=0, high=1) > 0
            radius[where] = self._values(radius_bytes, "<f4", size, low=0)
            evaluated[where] = True
            seconds.append(self._seconds(batch_seconds) / size)
        median = float(np.median(seconds)) if seconds else float("nan")
        return CertifiedCell(predicted, certified, radius, evaluated, unit, median, refusal)

    def attack_seconds(self) -> dict[TaskKind, tuple[float, int]]:
        """Seconds that the stored tasks of each kind took together, and how many there are.

        Raises:
            InvalidInput: there are tasks that the plan does not have.
        """
        rows = self.database.query(
            "SELECT classifier, attack, known_defense, batch IS NULL, sum(seconds), count(*), min(batch), max(batch), "
            "min(seconds), max(seconds) FROM tasks GROUP BY 1, 2, 3, 4",
            most=len(self._kinds),
        )
        totals = {}
        for classifier, attack, known_defense, trains, total, count, first, last, *extremes in rows:
            kind = (classifier, attack, known_defense, bool(trains))
            if kind not in self._kinds or count > (1 if trains else self._n_batches):
                raise self._damaged()
            if not trains:
                self._batch_slice(first), self._batch_slice(last)
            for seconds in (total, *extremes):
                self._seconds(seconds)
            totals[kind] = (float(total), count)
        return totals

    def image(self, classifier: int, attack: int, known_defense: int, position: int) -> images.Pixels | None:
        """An attacked image as it was judged; None where it was not saved, and without an attack."""
        if attack == NO_ATTACK:
            return None
        rows = self.database.query(
            "SELECT png FROM images WHERE classifier = ? AND attack = ? AND known_defense = ? AND position = ?",
            (classifier, attack, known_defense, position),
        )
        if not rows:
            return None
        data = rows[0][0]
        # Width and height stand at the beginning of a PNG file: a small one may claim millions of pixels.
        if not isinstance(data, bytes) or len(data) < 24 or max(struct.unpack(">II", data[16:24])) > _MAX_SIDE:
            raise self._damaged()
        return images.from_png(data)

    def extras(self, task: Task) -> dict[str, Floats]:
        """What training a universal attack gave, by name."""
        rows = self.database.query("SELECT name, shape, data FROM extras WHERE task = ?", (task.key,), most=100)
        result: dict[str, Floats] = {}
        for name, shape_text, data in rows:
            try:
                shape = [int(side) for side in json.loads(shape_text)]
            except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
                raise self._damaged() from error
            if not isinstance(name, str) or len(shape) > 4 or any(not 1 <= side <= 4 * _MAX_SIDE for side in shape):
                raise self._damaged()
            values = self._values(data, "<f4", math.prod(shape)).reshape(shape).astype(np.float32)
            if not np.isfinite(values).all():
                raise self._damaged()
            result[name] = values
        return result

    # Checks of what was read

    @property
    def _n_batches(self) -> int:
        return -(-self.plan.n_images // self.plan.batch)

    @cached_property
    def _kinds(self) -> set[TaskKind]:
        return set(task_kinds(self.plan))

    def _batch_slice(self, batch: Any) -> slice:
        """Which images are in that batch."""
        if not isinstance(batch, int) or not 0 <= batch < self._n_batches:
            raise self._damaged()
        return slice(batch * self.plan.batch, min((batch + 1) * self.plan.batch, self.plan.n_images))

    def _seconds(self, value: Any) -> float:
        if not isinstance(value, float) or not 0 <= value < math.inf:
            raise self._damaged()
        return value

    def _values(
        self, data: Any, dtype: str, size: int | None = None, low: float = -math.inf, high: float = math.inf
    ) -> npt.NDArray[Any]:
        """A column's bytes as `size` numbers from `low` to `high`; NaN is a number that a classifier may give."""
        if not isinstance(data, bytes) or len(data) % np.dtype(dtype).itemsize:
            raise self._damaged()
        values = np.frombuffer(data, dtype)
        if (size is not None and len(values) != size) or bool(((values < low) | (values > high)).any()):
            raise self._damaged()
        return values

    def _damaged(self) -> InvalidInput:
        return InvalidInput(damaged(self.path))
