"""What Defend says: the headline and the table of defenses."""

from __future__ import annotations

from collections.abc import Iterable

from app.text import a, before_words, duration, named, prediction, stopped_after
from core.evaluate.tables import Row
from core.recipe import DefendedPrediction, DefenseOutcome, Outcome


def defend_verdict(outcome: Outcome) -> str:
    """How many defenses bring the class back, against each attacker that was tried, the one who knows them first.

    A defense that stands there twice with the same settings counts once. An adaptive attack that was stopped before it fooled the
    classifier shows nothing, and its defense is not counted.
    """
    columns, attacked = {column.defense: column for column in outcome.columns}, outcome.attacked
    if not columns:
        return "No defense is chosen yet; add one."
    name = named(outcome.classes, outcome.label, outcome.label_known)
    grey = [column.grey for column in columns.values() if column.grey]
    known = [column.adaptive for column in columns.values() if column.adaptive and not _cut_off(column.adaptive)]
    begin = ""
    wrong = outcome.clean_prediction.label != outcome.label
    if wrong:
        begin = before_words(outcome.clean_prediction, outcome.classes, outcome.label, outcome.label_known) + " "
    if attacked.stopped and not attacked.success:
        begin += f"The attack was {stopped_after(attacked.iterations)}. "
    parts = []
    if known:
        verb = ("makes", "make") if wrong else ("keeps", "keep")
        what = f"the image {a(name)}" if wrong and outcome.label_known else f"the {name}"
        untried = len(columns) - len(known)
        rest = f"; {untried} {'was' if untried == 1 else 'were'} not tried to the end" if untried else ""
        parts.append(f"Against an attacker who knows them, {_of(known, verb)} {what}{rest}.")
    if attacked.prediction.label == outcome.label:
        fooled = "had not fooled" if attacked.stopped else "did not fool"
        words = f"The attack {fooled} the classifier"
        clean = [column.clean for column in columns.values()]
        parts.insert(0, f"{words}. {_of(clean, ('keeps', 'keep'))} the {name} in the clean image.")
    elif grey and wrong:
        parts.append(f"{_of(grey, ('makes', 'make'))} the image {a(name)} where the attacker does not know them.")
    elif grey:
        parts.append(f"{_of(grey, ('brings', 'bring'))} the {name} back from an attacker who does not know them.")
    return begin + " ".join(parts)


def _cut_off(guard: DefendedPrediction) -> bool:
    """Whether the attack on this very defense was stopped before it fooled the classifier."""
    return guard.recovered and guard.attack is not None and guard.attack.stopped


def _of(guards: Iterable[DefendedPrediction], verb: tuple[str, str]) -> str:
    """2 of 3 defenses bring; 1 of 1 defense brings."""
    right = [guard.recovered for guard in guards]
    return f"{sum(right)} of {len(right)} defense{'' if len(right) == 1 else 's'} {verb[sum(right) != 1]}"


def table_of_columns(columns: tuple[DefenseOutcome, ...], classes: tuple[str, ...], label: int | None) -> list[Row]:
    """One row a defense: the attacker who knows it first, then the one who does not, then what it costs.

    A dash stands where an attacker was not tried; an attack that was stopped says so.
    """
    rows: list[Row] = []
    some = {"Adaptive": any(c.adaptive for c in columns), "Grey box": any(c.grey for c in columns), "Clean": True}
    for column in columns:
        row: Row = {"Defense": column.defense}
        guards = {"Adaptive": column.adaptive, "Grey box": column.grey, "Clean": column.clean}
        for title, guard in guards.items():
            if some[title]:
                row[title] = "–" if guard is None else guard_words(guard, classes, label)
        rows.append({**row, "Time": duration(column.seconds)})
    return rows


def guard_words(guard: DefendedPrediction, classes: tuple[str, ...], label: int | None) -> str:
    """What the classifier sees behind a defense, and whether the attack on it was stopped."""
    words = prediction(guard.prediction, classes, label)
    stopped = guard.attack is not None and guard.attack.stopped
    return f"{words} (attack stopped)" if stopped else words
