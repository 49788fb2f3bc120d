"""What a run found: accuracies, successes, recovery and damage, confusion, curves; every share with its count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage

from core.detectors import flagged
from core.evaluate.plan import BARE, CLEAN, Plan
from core.evaluate.share import Share
from core.evaluate.store import Cell, Run

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Attacker = Literal["none", "grey", "adaptive"]
Measure = Literal["accuracy", "success", "recovered", "flagged"]
MEASURES: dict[Measure, str] = {
    "accuracy": "Accuracy: of all pictures, those whose class is right.",
    "success": "Attack success: of the pictures that were right without the attack, those that are wrong (or became the target).",
    "recovered": "Recovery: of the pictures that the attack fooled without a defense, those that the defense brings back.",
    "flagged": "Detection: of all pictures, those that the detector flags, at its paper's threshold or at 5 % false positives.",
}


@dataclass(frozen=True)
class Place:
    """Which cell of a run's matrix: the classifier, the attack (CLEAN for none), the defense (BARE for none), who attacks."""

    classifier: int
    attack: int
    defense: int
    attacker: Attacker

    @property
    def known(self) -> int:
        """The defense that the attacker knows."""
        return self.defense if self.attacker == "adaptive" else BARE


def places(plan: Plan, classifier: int = 0) -> list[list[Place]]:
    """The matrix of a run: a row an attack, none first; in it no defense, then each defense for each attacker."""
    rows = []
    for attack in (CLEAN, *range(len(plan.attacks))):
        row = [Place(classifier, attack, BARE, "none")]
        for defense in range(len(plan.defenses)):
            if attack == CLEAN:
                row.append(Place(classifier, attack, defense, "none"))
                continue
            if plan.attacker != "adaptive":
                row.append(Place(classifier, attack, defense, "grey"))
            if plan.attacker != "grey":
                row.append(Place(classifier, attack, defense, "adaptive"))
        rows.append(row)
    return rows


class Findings:
    """The cells of a run, each read once."""

    def __init__(self, run: Run) -> None:
        self.run, self.plan, self.labels = run, run.plan, run.labels
        self._cells: dict[Place, Cell] = {}

    def cell(self, place: Place) -> Cell:
        if place not in self._cells:
            self._cells[place] = self.run.cell(place.classifier, place.attack, place.known, place.defense)
        return self._cells[place]

    def right(self, place: Place) -> Bools:
        """Which pictures this cell gets right; those not looked at yet are not."""
        right: Bools = self.cell(place).predicted == self.labels
        return right

    def share(
        self, place: Place, measure: Measure = "accuracy", among: Bools | None = None, detector: int = 0
    ) -> Share | None:
        """The measure in that cell; None where it says nothing (recovery without an attack, say).

        Args:
            among: the images that count, N; all that the cell knows without it.
            detector: whose flags "flagged" counts, by its number in the plan.
        """
        cell = self.cell(place)
        known = cell.known if among is None else cell.known & among
        if measure == "accuracy":
            return Share(int((self.right(place) & known).sum()), int(known.sum()))
        if place.attack == CLEAN and measure != "flagged":
            return None
        if measure == "flagged":
            return self._flagged(place, detector)
        if measure == "success":
            before = Place(place.classifier, CLEAN, place.defense, "none")
            eligible = self.right(before) & known
            if self._targeted(cell):
                eligible = eligible & (cell.targets >= 0)
            return Share(int((self.reached(place) & eligible).sum()), int(eligible.sum()))
        if place.defense == BARE:
            return None
        fooled = self._fooled(place) & known
        return Share(int((self.right(place) & fooled).sum()), int(fooled.sum()))

    def covered(self, classifier: int | None = None) -> tuple[int, int]:
        """The fewest and the most images that a cell of the matrix knows (of one classifier, or of all)."""
        numbers = range(len(self.plan.classifier_names())) if classifier is None else (classifier,)
        counts = [int(self.cell(place).known.sum()) for n in numbers for line in places(self.plan, n) for place in line]
        return min(counts), max(counts)

    def reached(self, place: Place) -> Bools:
        """Where the attacker has what it wants: the target's class, or any other than the true one."""
        cell = self.cell(place)
        if self._targeted(cell):
            there: Bools = (cell.predicted == cell.targets) & (cell.targets >= 0)
            return there
        return cell.known & ~self.right(place)

    def damaged(self, place: Place) -> Share:
        """Of the clean pictures that are right without a defense, those that the cell's defense breaks."""
        bare = Place(place.classifier, CLEAN, BARE, "none")
        behind = Place(place.classifier, CLEAN, place.defense, "none")
        were = self.right(bare) & self.cell(behind).known
        return Share(int((were & ~self.right(behind)).sum()), int(were.sum()))

    def by_class(self, place: Place, classes: int) -> list[Share]:
        """Accuracy of the pictures of each class."""
        known, right = self.cell(place).known, self.right(place)
        totals = np.bincount(self.labels[known], minlength=classes)
        hits = np.bincount(self.labels[known & right], minlength=classes)
        return [Share(int(h), int(t)) for h, t in zip(hits, totals, strict=True)]

    def confusion(self, place: Place, classes: int, against: Literal["true", "clean"] = "true") -> Counts:
        """How many pictures of each class (rows: the true one, or the one predicted for the clean picture behind the same
        defense) this cell takes for each class (columns); int64 K×K."""
        cell = self.cell(place)
        rows, known = self.labels, cell.known
        if against == "clean":
            clean = self.cell(Place(place.classifier, CLEAN, place.defense, "none"))
            rows, known = clean.predicted.astype(np.int64), known & clean.known
        return confusion(rows[known], cell.predicted[known], classes)

    def chosen(
        self,
        place: Place,
        row: int | None = None,
        column: int | None = None,
        against: Literal["true", "clean"] = "true",
    ) -> list[int]:
        """The positions of a cell's pictures; of one row, one column or one place of its confusion matrix where they are given."""
        cell = self.cell(place)
        mask = cell.known.copy()
        rows: npt.NDArray[np.integer] = self.labels
        if against == "clean":
            rows = self.cell(Place(place.classifier, CLEAN, place.defense, "none")).predicted
        if row is not None:
            mask &= rows == row
        if column is not None:
            mask &= cell.predicted == column
        return [int(position) for position in np.flatnonzero(mask)]

    def seconds(self, defense: int, classifier: int = 0) -> float:
        """What a defense takes for one picture, measured on the clean ones."""
        return self.cell(Place(classifier, CLEAN, defense, "none")).seconds

    def _fooled(self, place: Place) -> Bools:
        """Right without an attack and a defense, wrong under the attack on the bare classifier."""
        were = self.right(Place(place.classifier, CLEAN, BARE, "none"))
        under = Place(place.classifier, place.attack, BARE, "none")
        return were & ~self.right(under) & self.cell(under).known

    def _flagged(self, place: Place, number: int) -> Share | None:
        if number >= len(self.plan.detectors) or place.defense != BARE:
            return None
        threshold = self.plan.built_detectors[number].default_threshold
        clean = self.run.scores(place.classifier, CLEAN, number)
        scores = self.run.scores(place.classifier, place.attack, number)
        known = ~np.isnan(clean) & ~np.isnan(scores)
        flags = flagged(clean[known], scores[known]) if threshold is None else scores[known] > threshold
        return Share(int(flags.sum()), int(known.sum()))

    def _targeted(self, cell: Cell) -> bool:
        return bool((cell.targets >= 0).any())


def confusion(rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], classes: int) -> Counts:
    """Counts K×K of pairs of classes."""
    pairs = rows.astype(np.int64) * classes + columns.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def clustered(counts: Counts) -> list[int]:
    """The classes in an order that lays those together that are taken for each other (average linkage)."""
    if len(counts) < 3:
        return list(range(len(counts)))
    off = counts + counts.T
    np.fill_diagonal(off, 0)
    totals = np.maximum(counts.sum(1) + counts.sum(0), 1)
    alike = off / np.sqrt(totals[:, None] * totals[None, :])
    distance = 1 / (1 + 100 * alike)
    upper = distance[np.triu_indices(len(counts), 1)]
    return [int(n) for n in leaves_list(linkage(upper, "average"))]


@dataclass(frozen=True)
class Curve:
    """Accuracy against eps: one attack, one column of the matrix; eps 0 is the clean picture."""

    attack: str
    column: Place
    eps: tuple[float, ...]
    shares: tuple[Share, ...]


def curves(findings: Findings, classifier: int = 0) -> list[Curve]:
    """A curve for every attack that the run has at several eps, and every column of the matrix."""
    plan = findings.plan
    families: dict[str, list[tuple[float, int]]] = {}
    for number, attack in enumerate(plan.built_attacks):
        values = attack.values()
        if "eps" in values:
            eps = float(values.pop("eps"))
            families.setdefault(json.dumps([attack.name, values], sort_keys=True), []).append((eps, number))
    found = []
    for members in families.values():
        members.sort()
        if len(members) < 2:
            continue
        for place in places(plan, classifier)[members[0][1] + 1]:
            clean = Place(classifier, CLEAN, place.defense, "none")
            at = [Place(classifier, number, place.defense, place.attacker) for _, number in members]
            shares = zip((0.0, *(eps for eps, _ in members)), map(findings.share, (clean, *at)), strict=True)
            points = [(eps, share) for eps, share in shares if share is not None and share.count]
            if points:  # of an unfinished run, only what is known
                title = plan.built_attacks[members[0][1]].title
                found.append(Curve(title, place, tuple(e for e, _ in points), tuple(share for _, share in points)))
    return found


def extremes(shares: Sequence[Share], count: int = 10) -> tuple[list[int], list[int]]:
    """The classes with the highest and with the lowest accuracy, of those that have pictures.

    No class is in both; one of which nothing is right is not among the best, one of which all is right not among the worst.
    """
    there = [n for n, share in enumerate(shares) if share.count]
    ranked = sorted(there, key=lambda n: (-shares[n].value, n))
    best = [n for n in ranked if shares[n].hits][:count]
    return best, [n for n in reversed(ranked) if n not in best and shares[n].hits < shares[n].count][:count]
