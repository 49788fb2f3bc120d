"""Metrics of a run: accuracy, attack success, recovery, detection, confusion, curves; every proportion with its count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage

from core.detectors import flagged
from core.evaluate.cells import Cell, CertifiedCell
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.evaluate.store import RunStore

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Attacker = Literal["none", "grey", "adaptive"]
Measure = Literal["accuracy", "success", "recovered", "flagged"]
MEASURES: dict[Measure, str] = {
    "accuracy": "Accuracy: of all images, those whose class is right.",
    "success": "Attack success: of the images that were right without the attack, those that are wrong (or became the target).",
    "recovered": "Recovery: of the images that the attack fooled without a defense, those that the defense brings back.",
    "flagged": "Detection: of all images, those that the detector flags, at its paper's threshold or at 5 % false positives.",
}


@dataclass(frozen=True)
class CellKey:
    """A cell of a run's matrix.

    Attributes:
        classifier, attack, defense: by their number in the plan; NO_ATTACK for clean images, NO_DEFENSE for none.
        attacker: whether the attacker knows the defense; 'none' without an attack or a defense.
    """

    classifier: int
    attack: int
    defense: int
    attacker: Attacker

    @property
    def known_defense(self) -> int:
        """The defense that the attacker knows, or NO_DEFENSE."""
        return self.defense if self.attacker == "adaptive" else NO_DEFENSE

    @property
    def clean(self) -> CellKey:
        """The clean images behind the same defense."""
        return CellKey(self.classifier, NO_ATTACK, self.defense, "none")

    @property
    def undefended(self) -> CellKey:
        """The same attack on the bare classifier."""
        return CellKey(self.classifier, self.attack, NO_DEFENSE, "none")


def cell_keys(plan: Plan, classifier: int = 0) -> list[list[CellKey]]:
    """The matrix of a run: a row per attack, none first; in it no defense, then each defense for each attacker."""
    rows = []
    for attack in (NO_ATTACK, *range(len(plan.attacks))):
        row = [CellKey(classifier, attack, NO_DEFENSE, "none")]
        for defense in range(len(plan.defenses)):
            if attack == NO_ATTACK:
                row.append(CellKey(classifier, attack, defense, "none"))
                continue
            if plan.attacker != "adaptive":
                row.append(CellKey(classifier, attack, defense, "grey"))
            if plan.attacker != "grey":
                row.append(CellKey(classifier, attack, defense, "adaptive"))
        rows.append(row)
    return rows


class Metrics:
    """What the cells of a run say; each cell is read once."""

    def __init__(self, run: RunStore) -> None:
        self.run, self.plan, self.labels = run, run.plan, run.labels
        self._cells: dict[CellKey, Cell] = {}
        self._certified: dict[tuple[int, int, int], CertifiedCell] = {}

    def cell(self, key: CellKey) -> Cell:
        """The predictions of a cell."""
        if key not in self._cells:
            self._cells[key] = self.run.cell(key.classifier, key.attack, key.known_defense, key.defense)
        return self._cells[key]

    def certified(self, certificate: int, defense: int = NO_DEFENSE, classifier: int = 0) -> CertifiedCell:
        """What a certificate promises for one system, each by its number in the plan."""
        key = classifier, certificate, defense
        if key not in self._certified:
            self._certified[key] = self.run.certified(*key)
        return self._certified[key]

    def is_correct(self, key: CellKey) -> Bools:
        """Which images of a cell are classified correctly, N; those not evaluated yet are not."""
        correct: Bools = self.cell(key).predicted == self.labels
        return correct

    def proportion(
        self, key: CellKey, measure: Measure = "accuracy", among: Bools | None = None, detector: int = 0
    ) -> Proportion | None:
        """A measure of a cell; None where it has no meaning (recovery without an attack, say).

        Args:
            among: the images that count, N; all that are evaluated without it.
            detector: whose flags "flagged" counts, by its number in the plan.
        """
        cell = self.cell(key)
        counted = cell.evaluated if among is None else cell.evaluated & among
        if measure == "accuracy":
            return Proportion(int((self.is_correct(key) & counted).sum()), int(counted.sum()))
        if key.attack == NO_ATTACK and measure != "flagged":
            return None
        if measure == "flagged":
            return self._flagged(key, detector)
        if measure == "success":
            eligible = self.is_correct(key.clean) & counted
            if self._targeted(cell):
                eligible = eligible & (cell.targets >= 0)
            return Proportion(int((self.attack_succeeded(key) & eligible).sum()), int(eligible.sum()))
        if key.defense == NO_DEFENSE:
            return None
        fooled = self._fooled(key) & counted
        return Proportion(int((self.is_correct(key) & fooled).sum()), int(fooled.sum()))

    def covered(self, classifier: int | None = None) -> tuple[int, int]:
        """The fewest and the most images that are evaluated in a cell of the matrix (of one classifier, or of all)."""
        numbers = range(len(self.plan.classifier_names())) if classifier is None else (classifier,)
        keys = (key for number in numbers for row in cell_keys(self.plan, number) for key in row)
        counts = [int(self.cell(key).evaluated.sum()) for key in keys]
        return min(counts), max(counts)

    def attack_succeeded(self, key: CellKey) -> Bools:
        """Where the prediction is the target's class, or without a target any other than the true one, N."""
        cell = self.cell(key)
        if self._targeted(cell):
            reached: Bools = (cell.predicted == cell.targets) & (cell.targets >= 0)
            return reached
        return cell.evaluated & ~self.is_correct(key)

    def clean_loss(self, key: CellKey) -> Proportion:
        """Of the clean images that are right without a defense, those that are wrong behind the cell's defense."""
        correct = self.is_correct(key.clean.undefended) & self.cell(key.clean).evaluated
        return Proportion(int((correct & ~self.is_correct(key.clean)).sum()), int(correct.sum()))

    def by_class(self, classes: int, *keys: CellKey) -> list[Proportion]:
        """The accuracy on the images of each class; of several cells, the share that is right in all of them."""
        evaluated = np.logical_and.reduce([self.cell(key).evaluated for key in keys])
        correct = np.logical_and.reduce([self.is_correct(key) for key in keys])
        totals = np.bincount(self.labels[evaluated], minlength=classes)
        successes = np.bincount(self.labels[evaluated & correct], minlength=classes)
        return [Proportion(int(s), int(t)) for s, t in zip(successes, totals, strict=True)]

    def confusion(self, key: CellKey, classes: int, against: Literal["true", "clean"] = "true") -> Counts:
        """The confusion matrix of a cell, int64 K×K.

        Args:
            against: what the rows are: the true class, or the class predicted for the clean image behind the same defense. The
                columns are the predicted class.
        """
        cell = self.cell(key)
        rows, counted = self.labels, cell.evaluated
        if against == "clean":
            clean = self.cell(key.clean)
            rows, counted = clean.predicted.astype(np.int64), counted & clean.evaluated
        return confusion(rows[counted], cell.predicted[counted], classes)

    def select_images(
        self,
        key: CellKey,
        row: int | None = None,
        column: int | None = None,
        against: Literal["true", "clean"] = "true",
    ) -> list[int]:
        """The positions of a cell's images; those of a row, a column or an entry of its confusion matrix where they are given."""
        cell = self.cell(key)
        mask = cell.evaluated.copy()
        rows: npt.NDArray[np.integer] = self.labels if against == "true" else self.cell(key.clean).predicted
        if row is not None:
            mask &= rows == row
        if column is not None:
            mask &= cell.predicted == column
        return [int(position) for position in np.flatnonzero(mask)]

    def seconds(self, defense: int, classifier: int = 0) -> float:
        """Seconds that a defense takes for one image, measured on the clean ones."""
        return self.cell(CellKey(classifier, NO_ATTACK, defense, "none")).seconds

    def _fooled(self, key: CellKey) -> Bools:
        """Right without an attack and a defense, wrong under the attack on the bare classifier."""
        attacked = key.undefended
        return self.is_correct(attacked.clean) & ~self.is_correct(attacked) & self.cell(attacked).evaluated

    def _flagged(self, key: CellKey, detector: int) -> Proportion | None:
        if detector >= len(self.plan.detectors) or key.defense != NO_DEFENSE:
            return None
        threshold = self.plan.built_detectors[detector].default_threshold
        clean = self.run.scores(key.classifier, NO_ATTACK, detector)
        scores = self.run.scores(key.classifier, key.attack, detector)
        scored = ~np.isnan(clean) & ~np.isnan(scores)
        flags = flagged(clean[scored], scores[scored]) if threshold is None else scores[scored] > threshold
        return Proportion(int(flags.sum()), int(scored.sum()))

    def _targeted(self, cell: Cell) -> bool:
        return bool((cell.targets >= 0).any())


def confusion(rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], classes: int) -> Counts:
    """Counts K×K of pairs of classes."""
    pairs = rows.astype(np.int64) * classes + columns.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def cluster_order(counts: Counts) -> list[int]:
    """The classes ordered so that those which are confused with each other stand together (average linkage)."""
    if len(counts) < 3:
        return list(range(len(counts)))
    confused = counts + counts.T
    np.fill_diagonal(confused, 0)
    totals = np.maximum(counts.sum(1) + counts.sum(0), 1)
    similarity = confused / np.sqrt(totals[:, None] * totals[None, :])
    distance = 1 / (1 + 100 * similarity)
    upper = distance[np.triu_indices(len(counts), 1)]
    return [int(n) for n in leaves_list(linkage(upper, "average"))]


@dataclass(frozen=True)
class Curve:
    """Accuracy against eps: one attack, one column of the matrix; eps 0 is the clean image."""

    attack: str
    column: CellKey
    eps: tuple[float, ...]
    proportions: tuple[Proportion, ...]


def curves(metrics: Metrics, classifier: int = 0) -> list[Curve]:
    """A curve for every attack that the run has at several eps, and every column of the matrix."""
    plan = metrics.plan
    families: dict[str, list[tuple[float, int]]] = {}
    for number, attack in enumerate(plan.built_attacks):
        values = attack.values()
        if "eps" in values:
            eps = float(values.pop("eps"))
            families.setdefault(json.dumps([attack.name, values], sort_keys=True), []).append((eps, number))
    result = []
    for members in families.values():
        members.sort()
        if len(members) < 2:
            continue
        for key in cell_keys(plan, classifier)[members[0][1] + 1]:
            keys = [CellKey(classifier, number, key.defense, key.attacker) for _, number in members]
            values_at = zip(
                (0.0, *(eps for eps, _ in members)), map(metrics.proportion, (key.clean, *keys)), strict=True
            )
            points = [(eps, value) for eps, value in values_at if value is not None and value.count]
            if points:  # of an unfinished run, only what is evaluated
                title = plan.built_attacks[members[0][1]].title
                result.append(Curve(title, key, tuple(eps for eps, _ in points), tuple(value for _, value in points)))
    return result


def best_worst(accuracies: Sequence[Proportion], count: int = 10) -> tuple[list[int], list[int]]:
    """The classes with the highest and with the lowest accuracy, of those that have images.

    No class is in both; one of which nothing is right is not among the best, one of which all is right not among the worst.
    """
    present = [n for n, accuracy in enumerate(accuracies) if accuracy.count]
    ranked = sorted(present, key=lambda n: (-accuracies[n].value, n))
    best = [n for n in ranked if accuracies[n].successes][:count]
    worst = [n for n in reversed(ranked) if n not in best and accuracies[n].successes < accuracies[n].count]
    return best, worst[:count]
