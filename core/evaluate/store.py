"""Results on disk: one SQLite file per run, in which every task is written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core import domains, images
from core.certify import Certified
from core.evaluate import database
from core.evaluate.compute import TaskResult, fingerprint, sample_indices
from core.evaluate.database import ENDING, quoted
from core.evaluate.plan import Plan
from core.evaluate.run_reader import MAX_REFUSAL, VERSION, RunReader
from core.evaluate.tasks import Task
from core.inputs import InvalidInput
from core.models.classifier import Classifier


def folder() -> Path:
    """Where runs are stored."""
    return domains.data_root() / "runs"


class OtherWeights(InvalidInput):
    """A run cannot go on, because what it evaluates has other weights now; `path` is its file."""

    path: Path | None = None


class RunStore(RunReader):
    """One run's file. A reader and a writer may have it open at once, each with a `RunStore` of its own."""

    @classmethod
    def create(cls, plan: Plan, device: str, path: Path | None = None, owner: str = "") -> RunStore:
        """The run of that plan: the file that is there already, or a new one with nothing done.

        Args:
            owner: who starts it; '' for the command line.

        Raises:
            InvalidInput: its file is damaged or holds another plan; the data are not here; it cannot be written there.
        """
        plan = plan.resolved()
        path = path or folder() / f"{plan.name}{ENDING}"
        if not os.path.lexists(path):
            indices = sample_indices(plan)
            labels = domains.get(plan.domain).labels(plan.split)[indices]
            meta: dict[str, Any] = {
                "version": VERSION,
                "plan": plan.to_json(),
                "indices": indices.astype("<i8").tobytes(),
                "labels": labels.astype("<i8").tobytes(),
                "started_at": time.time(),
                "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
                "device": device,
                "owner": owner,
            }
            database.create(path, meta, with_certificates=bool(plan.certificates))
        run = cls(path)
        if run.plan != plan:
            run.close()
            raise InvalidInput(f"{path} holds another evaluation; choose another file, or delete it.")
        return run

    def add(self, task: Task, result: TaskResult) -> None:
        """Store what a task computed, whole or not at all.

        Raises:
            InvalidInput: the disk is full or the file is damaged; what was stored before is still there.
        """
        with self.database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    task.key,
                    task.classifier,
                    task.attack,
                    task.known_defense,
                    task.batch,
                    result.seconds,
                    result.targets.astype("<i4").tobytes(),
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
                [(task.key, detector, scores.astype("<f4").tobytes()) for detector, scores in result.scores.items()],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        task.key,
                        defense,
                        predictions.predicted.astype("<i4").tobytes(),
                        predictions.confidence.astype("<f4").tobytes(),
                        predictions.true_confidence.astype("<f4").tobytes(),
                        predictions.seconds,
                    )
                    for defense, predictions in result.predictions.items()
                ],
            )
            first = (task.batch or 0) * self.plan.batch
            connection.executemany(
                "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
                [
                    (task.classifier, task.attack, task.known_defense, first + offset, images.png(pixels))
                    for offset, pixels in enumerate(result.images)
                ],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO extras VALUES (?, ?, ?, ?)",
                [
                    (task.key, name, json.dumps(values.shape), values.astype("<f4").tobytes())
                    for name, values in result.extras.items()
                ],
            )
            if task.certificate is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO certified VALUES (?, ?, ?, ?, ?, ?)",
                    (task.key, *_certified_values(result.certified), result.refusal[:MAX_REFUSAL]),
                )

    def check_images(self) -> None:
        """Make sure that the images of this run are those that are here now.

        Raises:
            InvalidInput: the data set is not on this machine, or is another one than this run started with.
        """
        domain = domains.get(self.plan.domain)
        if self.plan.split not in domain.splits():
            raise InvalidInput(domain.missing_reason() or f"{domain.title} has no images in {self.plan.split!r} here.")
        labels = domain.labels(self.plan.split)
        if int(self.indices.max()) >= len(labels) or not np.array_equal(labels[self.indices], self.labels):
            raise InvalidInput(
                f"The images of {domain.title} here are not those that {quoted(self.path.stem)} began with."
            )

    def check_weights(self) -> None:
        """Make sure that the weights of the plan's defenses and detectors are those that this run started with.

        Raises:
            OtherWeights: some are others.
        """
        for name, checksum in self.plan.checksums().items():
            key = f"weights {name}"
            with self.database.writing() as connection:
                connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, checksum.encode()))
            ((stored,),) = self.database.query("SELECT value FROM meta WHERE key = ?", (key,))
            if bytes(stored) != checksum.encode():
                raise self._other_weights(f"The weights {quoted(name)} are not those")

    def _other_weights(self, what: str) -> OtherWeights:
        error = OtherWeights(
            f"{what} that the run {quoted(self.path.stem)} began with. Delete the run (on the page Evaluate, or its file "
            f"{self.path.name} in {self.path.parent}) to begin anew."
        )
        error.path = self.path
        return error

    def check_classifier(self, number: int, classifier: Classifier) -> None:
        """Make sure that the plan's classifier of that number is the one that this run started with; the first one is remembered.

        A file of weights may be another one today under the same name.

        Raises:
            OtherWeights: it is another one, or the run holds results but no fingerprint.
        """
        logits = fingerprint(classifier).astype("<f4")
        key = f"classifier {number}"
        stored = self.database.query("SELECT value FROM meta WHERE key = ?", (key,))
        if not stored and number not in self.evaluated_classifiers():
            with self.database.writing() as connection:
                connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, logits.tobytes()))
            stored = self.database.query("SELECT value FROM meta WHERE key = ?", (key,))
        expected = self._values(stored[0][0], "<f4") if stored else np.empty(0, "<f4")
        # Another device or number of threads rounds differently; other weights differ by more.
        tolerance = 0.01 * float(np.abs(logits).max())
        if expected.size != logits.size or not np.allclose(expected, logits.ravel(), rtol=0, atol=tolerance):
            raise self._other_weights(f"The weights of {classifier.title} are not those")


def _certified_values(certified: Certified | None) -> tuple[bytes, bytes, bytes, str]:
    """A batch's classes, whether each is certified, and radii as bytes, and the unit; empty where the certificate does not fit."""
    if certified is None:
        return b"", b"", b"", ""
    return (
        certified.predicted.cpu().numpy().astype("<i4").tobytes(),
        certified.certified.cpu().numpy().astype("<i4").tobytes(),
        certified.radius.cpu().numpy().astype("<f4").tobytes(),
        certified.unit,
    )
