"""A finished (or running) evaluation as tables."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from core import domains
from core.evaluate.measures import MEASURES, Findings, Measure, Place, extremes, places
from core.evaluate.plan import BARE, CLEAN, Plan
from core.evaluate.share import Share
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = [
    "classes_table",
    "column_title",
    "compared",
    "confusion_table",
    "csv",
    "heading",
    "latex",
    "matrix",
    "partial_note",
    "recovery",
    "report",
    "state",
]

Against = Literal["true", "clean"]
ROWS: dict[Against, str] = {"true": "true class", "clean": "prediction on the clean image"}  # of a confusion matrix
ATTACKERS = {"none": "", "grey": "not known", "adaptive": "known"}


def column_title(plan: Plan, place: Place) -> str:
    """A column of the matrix: the defense, and whether the attacker knows it."""
    title = plan.defense_title(place.defense)
    return title if place.attacker == "none" else f"{title} ({ATTACKERS[place.attacker]})"


def partial_note(findings: Findings, place: Place) -> str:
    """How many of the planned images a cell covers, where it is fewer than all."""
    known, planned = int(findings.cell(place).known.sum()), findings.plan.n_images
    return "" if known == planned else f"{known:,} of {planned:,} images so far"


def _said(findings: Findings, place: Place, share: Share | None) -> str:
    """A share as tables have it; that of an unfinished cell says on how many of the planned images it was measured."""
    if share is None or not share.count:
        return "–"
    note = partial_note(findings, place)
    return f"{share}; {note}" if note else str(share)


def state(done: int, total: int) -> str:
    """How far a run is that is not at work."""
    return "done" if done == total else f"unfinished: {done:,} of {total:,} parts are done"


def matrix(findings: Findings, classifier: int = 0, measure: Measure = "accuracy", detector: int = 0) -> list[Row]:
    """A row an attack, a column a defense and an attacker, in each cell the share with its count and its 95 % interval."""
    plan = findings.plan
    rows: list[Row] = []
    for line in places(plan, classifier):
        row: Row = {"Attack": plan.attack_title(line[0].attack)}
        for place in line:
            share = findings.share(place, measure, detector=detector)
            titles = [column_title(plan, place)]
            if place.attack == CLEAN and place.defense != BARE:  # one measurement, under both attackers' columns
                titles = [column_title(plan, p) for p in _columns(plan, place)]
            row |= dict.fromkeys(titles, _said(findings, place, share))
        rows.append(row)
    heads = list(rows[-1]) if len(rows) > 1 else list(rows[0])
    return [{head: row.get(head, "–") for head in heads} for row in rows]


def _columns(plan: Plan, place: Place) -> list[Place]:
    if not plan.attacks:
        return [place]
    kinds = {"grey": ("grey",), "adaptive": ("adaptive",), "both": ("grey", "adaptive")}[plan.attacker]
    return [Place(place.classifier, place.attack, place.defense, kind) for kind in kinds]  # type: ignore[arg-type]


def recovery(findings: Findings, classifier: int = 0) -> list[Row]:
    """A row a defense: what it brings back of what each attack fooled, what it breaks of the clean, and what it costs."""
    plan = findings.plan
    rows: list[Row] = []
    for defense in range(len(plan.defenses)):
        row: Row = {"Defense": plan.defense_title(defense)}
        for line in places(plan, classifier)[1:]:
            for place in line:
                if place.defense == defense:
                    share = findings.share(place, "recovered")
                    title = f"brings back: {plan.attack_title(place.attack)} ({ATTACKERS[place.attacker]})"
                    row[title] = _said(findings, place, share)
        clean = Place(classifier, CLEAN, defense, "none")
        row["breaks"] = _said(findings, clean, findings.damaged(clean))
        seconds = findings.seconds(defense, classifier)
        row["ms per image"] = "–" if math.isnan(seconds) else round(1000 * seconds, 3)
        rows.append(row)
    return rows


def classes_table(findings: Findings, place: Place, count: int = 10) -> list[Row]:
    """The classes that a cell gets right most and least often."""
    names = domains.get(findings.plan.domain).classes
    shares = findings.by_class(place, len(names))
    best, worst = extremes(shares, count)
    return [
        {"": kind, "Class": names[number], "Right": str(shares[number])}
        for kind, numbers in (("best", best), ("worst", worst))
        for number in numbers
    ]


def confusion_table(findings: Findings, place: Place, against: Against = "true") -> list[Row]:
    """The pairs of classes that occur in a cell's confusion matrix, by name and number, the most frequent first."""
    names = domains.get(findings.plan.domain).classes
    counts = findings.confusion(place, len(names), against)
    pairs = sorted(np.argwhere(counts > 0).tolist(), key=lambda pair: (-counts[pair[0], pair[1]], pair))
    rows = ROWS[against]
    return [
        {
            rows: names[row],
            f"{rows} (number)": row,
            "prediction": names[column],
            "prediction (number)": column,
            "images": int(counts[row, column]),
        }
        for row, column in pairs
    ]


def heading(findings: Findings) -> str:
    """What a run was measured on, in one sentence."""
    run, plan = findings.run, findings.plan
    domain = domains.get(plan.domain)
    done, total = run.progress()
    low, high = findings.covered()
    over = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    so_far = "" if done == total else f" ({state(done, total)}, numbers over {over} of {plan.n_images:,} images)"
    knows = {
        "grey": "the attacker does not know the defense (grey box)",
        "adaptive": f"the attacker knows the defense (adaptive, {plan.backward})",
        "both": f"the defense not known to the attacker (grey box), and known (adaptive, {plan.backward})",
    }[plan.attacker]
    return (
        f"{len(run.labels)} {plan.split} images of {domain.title}, seed {plan.seed}; white box, {knows}; judged after 8-bit "
        f"rounding, 95 % intervals (Wilson); {run.device}, {run.versions}{so_far}"
    )


def report(findings: Findings) -> str:
    """The whole run as Markdown."""
    plan, domain = findings.plan, domains.get(findings.plan.domain)
    parts = [f"# {domain.title}, {len(findings.labels)} images\n\n{heading(findings)}.\n"]
    for number, name in enumerate(plan.classifier_names()):
        parts.append(
            f"\n## {domain.classifier_title(name)}\n\n{MEASURES['accuracy']}\n\n{markdown(matrix(findings, number))}"
        )
        if plan.attacks:
            parts.append(f"\n{MEASURES['success']}\n\n{markdown(matrix(findings, number, 'success'))}")
        if plan.detectors:
            rows: list[Row] = [
                {
                    "Attack": plan.attack_title(line[0].attack),
                    **{
                        f"flagged by {plan.detector_title(n)}": _said(
                            findings, line[0], findings.share(line[0], "flagged", detector=n)
                        )
                        for n in range(len(plan.detectors))
                    },
                }
                for line in places(plan, number)
            ]
            parts.append(f"\n{MEASURES['flagged']}\n\n{markdown(rows)}")
        if plan.defenses and plan.attacks:
            parts.append(f"\n{MEASURES['recovered']}\n\n{markdown(recovery(findings, number))}")
    return "".join(parts)


def compared(one: Findings, other: Findings) -> list[Row]:
    """A row for every attack, defense and attacker that both runs have, by their titles: both accuracies and the difference."""
    cells = [
        {(f.plan.attack_title(p.attack), column_title(f.plan, p)): p for line in places(f.plan) for p in line}
        for f in (one, other)
    ]
    rows: list[Row] = []
    for (attack, column), here in cells[0].items():
        there = cells[1].get((attack, column))
        if there is None:
            continue
        mine, theirs = one.share(here), other.share(there)
        if mine is not None and theirs is not None and mine.count and theirs.count:
            said = _said(one, here, mine), _said(other, there, theirs)
            difference = f"{100 * (theirs.value - mine.value):+.1f} points"
            rows.append(
                {
                    "Attack": attack,
                    "Defense": column,
                    "this run": said[0],
                    "other run": said[1],
                    "difference": difference,
                }
            )
    return rows
