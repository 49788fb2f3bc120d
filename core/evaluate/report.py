"""A finished (or running) evaluation as tables."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from core import domains
from core.evaluate.metrics import MEASURES, CellKey, Measure, Metrics, best_worst, cell_keys
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = [
    "CERTIFIED",
    "certificates",
    "classes_table",
    "column_title",
    "compare_runs",
    "confusion_table",
    "csv",
    "heading",
    "latex",
    "matrix",
    "only_in_one",
    "partial_note",
    "recovery",
    "refusals",
    "report",
    "state",
    "threat_models",
]

Against = Literal["true", "clean"]
ROWS: dict[Against, str] = {"true": "true class", "clean": "prediction on the clean image"}  # of a confusion matrix
ATTACKERS = {"none": "", "grey": "not known", "adaptive": "known"}


def column_title(plan: Plan, key: CellKey) -> str:
    """A column of the matrix: the defense, and whether the attacker knows it."""
    title = plan.defense_title(key.defense)
    return title if key.attacker == "none" else f"{title} ({ATTACKERS[key.attacker]})"


def partial_note(metrics: Metrics, key: CellKey) -> str:
    """How many of the planned images a cell covers, where it is fewer than all."""
    evaluated, planned = int(metrics.cell(key).evaluated.sum()), metrics.plan.n_images
    return "" if evaluated == planned else _so_far(evaluated, planned)


def _so_far(evaluated: int, planned: int) -> str:
    return f"{evaluated:,} of {planned:,} images so far"


def _formatted(metrics: Metrics, key: CellKey, proportion: Proportion | None) -> str:
    """A proportion as tables have it; that of an unfinished cell says on how many of the planned images it was measured."""
    if proportion is None or not proportion.count:
        return "–"
    note = partial_note(metrics, key)
    return f"{proportion}; {note}" if note else str(proportion)


def state(done: int, total: int) -> str:
    """How far a run is that is not at work."""
    return "done" if done == total else f"unfinished: {done:,} of {total:,} parts are done"


def matrix(metrics: Metrics, classifier: int = 0, measure: Measure = "accuracy", detector: int = 0) -> list[Row]:
    """A row per attack, a column per defense and attacker, in each cell the proportion with its count and its 95 % interval."""
    plan = metrics.plan
    rows: list[Row] = []
    for keys in cell_keys(plan, classifier):
        row: Row = {"Attack": plan.attack_title(keys[0].attack)}
        for key in keys:
            proportion = metrics.proportion(key, measure, detector=detector)
            titles = [column_title(plan, key)]
            # One measurement, under both attackers' columns.
            if key.attack == NO_ATTACK and key.defense != NO_DEFENSE:
                titles = [column_title(plan, p) for p in _columns(plan, key)]
            row |= dict.fromkeys(titles, _formatted(metrics, key, proportion))
        rows.append(row)
    heads = list(rows[-1]) if len(rows) > 1 else list(rows[0])
    return [{head: row.get(head, "–") for head in heads} for row in rows]


def _columns(plan: Plan, key: CellKey) -> list[CellKey]:
    if not plan.attacks:
        return [key]
    attackers = {"grey": ("grey",), "adaptive": ("adaptive",), "both": ("grey", "adaptive")}[plan.attacker]
    return [CellKey(key.classifier, key.attack, key.defense, attacker) for attacker in attackers]  # type: ignore[arg-type]


def recovery(metrics: Metrics, classifier: int = 0) -> list[Row]:
    """A row per defense: what it recovers of what each attack fooled, what it breaks of the clean, and its time per image."""
    plan = metrics.plan
    rows: list[Row] = []
    for defense in range(len(plan.defenses)):
        row: Row = {"Defense": plan.defense_title(defense)}
        for keys in cell_keys(plan, classifier)[1:]:
            for key in keys:
                if key.defense == defense:
                    proportion = metrics.proportion(key, "recovered")
                    title = f"brings back: {plan.attack_title(key.attack)} ({ATTACKERS[key.attacker]})"
                    row[title] = _formatted(metrics, key, proportion)
        clean = CellKey(classifier, NO_ATTACK, defense, "none")
        row["breaks"] = _formatted(metrics, clean, metrics.clean_loss(clean))
        seconds = metrics.seconds(defense, classifier)
        row["ms per image"] = _milliseconds(seconds)
        rows.append(row)
    return rows


CERTIFIED = (
    "Certified: of all images, those whose class is right and cannot be changed by any attack inside the certificate's "
    "threat model."
)


def certificates(metrics: Metrics, classifier: int = 0) -> list[Row]:
    """A row per certificate and system: certified accuracy beside the accuracy without an attack, the radius, and time per image.

    Right without an attack is what the certificate speaks of: with randomized smoothing, the smoothed classifier.
    """
    plan = metrics.plan
    rows: list[Row] = []
    for number in range(len(plan.certificates)):
        for defense in (NO_DEFENSE, *range(len(plan.defenses))):
            cell = metrics.certified(number, defense, classifier)
            count = int(cell.evaluated.sum())
            right = (cell.predicted == metrics.labels) & cell.evaluated
            radii = cell.radius[cell.certified & ~np.isnan(cell.radius)]
            shares = [str(Proportion(int(which.sum()), count)) if count else "–" for which in (right, cell.certified)]
            if 0 < count < plan.n_images:
                shares = [f"{share}; {_so_far(count, plan.n_images)}" for share in shares]
            rows.append(
                {
                    "Certificate": plan.certificate_title(number),
                    "System": plan.defense_title(defense),
                    "right without an attack": shares[0],
                    "certified": shares[1],
                    "median radius of these": f"{np.median(radii):.4g} ({cell.unit})" if len(radii) else "–",
                    "ms per image": _milliseconds(cell.seconds),
                }
            )
    return rows


def refusals(metrics: Metrics, classifier: int = 0) -> list[str]:
    """Why certificates cannot be worked out for systems, a sentence for each reason."""
    plan = metrics.plan
    systems: dict[tuple[str, str], list[str]] = {}
    for number in range(len(plan.certificates)):
        for defense in (NO_DEFENSE, *range(len(plan.defenses))):
            refusal = metrics.certified(number, defense, classifier).refusal
            if refusal:
                reason = plan.certificate_title(number), refusal
                systems.setdefault(reason, []).append(plan.defense_title(defense))
    return [f"{title}, not worked out for {', '.join(names)}: {refusal}" for (title, refusal), names in systems.items()]


def _milliseconds(seconds: float) -> str:
    """A time in milliseconds with three digits; a dash where nothing was measured."""
    return "–" if math.isnan(seconds) else f"{1000 * seconds:.3g}"


def threat_models(plan: Plan) -> str:
    """What the promises of a plan's certificates cover, a sentence each."""
    sentences: dict[str, None] = {}
    for certificate in plan.built_certificates:
        words = f"{certificate.title}: {certificate.threat_model}"
        if certificate.subject:
            words += f" The promise is about {certificate.subject}"
            alpha = certificate.values().get("alpha")
            words += "." if alpha is None else f"; it is wrong for an image with a probability of at most {alpha:g}."
        sentences[words] = None
    return " ".join(sentences)


def classes_table(metrics: Metrics, key: CellKey, count: int = 10) -> list[Row]:
    """The classes that a cell gets right most and least often."""
    names = domains.get(metrics.plan.domain).classes
    accuracies = metrics.by_class(len(names), key)
    best, worst = best_worst(accuracies, count)
    return [
        {"": kind, "Class": names[number], "Right": str(accuracies[number])}
        for kind, numbers in (("best", best), ("worst", worst))
        for number in numbers
    ]


def confusion_table(metrics: Metrics, key: CellKey, against: Against = "true") -> list[Row]:
    """The pairs of classes that occur in a cell's confusion matrix, by name and number, the most frequent first."""
    names = domains.get(metrics.plan.domain).classes
    counts = metrics.confusion(key, len(names), against)
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


def heading(metrics: Metrics) -> str:
    """What a run was measured on, in one sentence."""
    run, plan = metrics.run, metrics.plan
    domain = domains.get(plan.domain)
    done, total = run.progress()
    low, high = metrics.covered()
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


def report(metrics: Metrics) -> str:
    """The whole run as Markdown."""
    plan, domain = metrics.plan, domains.get(metrics.plan.domain)
    parts = [f"# {domain.title}, {len(metrics.labels)} images\n\n{heading(metrics)}.\n"]
    for number, name in enumerate(plan.classifier_names()):
        parts.append(
            f"\n## {domain.classifier_title(name)}\n\n{MEASURES['accuracy']}\n\n{markdown(matrix(metrics, number))}"
        )
        if plan.attacks:
            parts.append(f"\n{MEASURES['success']}\n\n{markdown(matrix(metrics, number, 'success'))}")
        if plan.detectors:
            rows: list[Row] = [
                {
                    "Attack": plan.attack_title(keys[0].attack),
                    **{
                        f"flagged by {plan.detector_title(n)}": _formatted(
                            metrics, keys[0], metrics.proportion(keys[0], "flagged", detector=n)
                        )
                        for n in range(len(plan.detectors))
                    },
                }
                for keys in cell_keys(plan, number)
            ]
            parts.append(f"\n{MEASURES['flagged']}\n\n{markdown(rows)}")
        if plan.certificates:
            parts.append(f"\n{CERTIFIED} {threat_models(plan)}\n\n{markdown(certificates(metrics, number))}")
            parts += [f"\n{sentence}\n" for sentence in refusals(metrics, number)]
        if plan.defenses and plan.attacks:
            parts.append(f"\n{MEASURES['recovered']}\n\n{markdown(recovery(metrics, number))}")
    return "".join(parts)


def compare_runs(first: Metrics, second: Metrics) -> list[Row]:
    """A row for every attack, defense and attacker that both runs have, by their titles: both accuracies and the difference."""
    keys = [_cells_by_title(metrics) for metrics in (first, second)]
    rows: list[Row] = []
    for (attack, column), first_key in keys[0].items():
        second_key = keys[1].get((attack, column))
        if second_key is None:
            continue
        first_share, second_share = first.proportion(first_key), second.proportion(second_key)
        if first_share is not None and second_share is not None and first_share.count and second_share.count:
            rows.append(
                {
                    "Attack": attack,
                    "Defense": column,
                    "this run": _formatted(first, first_key, first_share),
                    "other run": _formatted(second, second_key, second_share),
                    "difference": f"{100 * (second_share.value - first_share.value):+.1f} points",
                }
            )
    return rows


def only_in_one(first: Metrics, second: Metrics) -> list[str]:
    """The attacks and columns that `compare_runs` leaves out, because only one of the runs has them, by their titles."""
    keys = [_cells_by_title(metrics) for metrics in (first, second)]
    here, there = ([list(dict.fromkeys(titles)) for titles in zip(*own, strict=True)] for own in keys)
    return [
        title
        for ours, theirs in zip(here, there, strict=True)
        for title in dict.fromkeys((*ours, *theirs))
        if (title in ours) != (title in theirs)
    ]


def _cells_by_title(metrics: Metrics) -> dict[tuple[str, str], CellKey]:
    """The cells of a run's first classifier by the titles of their attack and their column."""
    plan = metrics.plan
    return {(plan.attack_title(key.attack), column_title(plan, key)): key for row in cell_keys(plan) for key in row}
