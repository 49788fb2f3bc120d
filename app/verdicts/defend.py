"""What Defend says: the headline and the table of defenses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.text import a, before_words, duration, named, per_cent, prediction, stopped_after
from core.evaluate.tables import Row
from core.recipe import DefendedPrediction, DefenseOutcome, Outcome
from core.systems import System


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


def short_names(columns: Sequence[DefenseOutcome]) -> list[str]:
    """What each column is called in a table: a vote by how many vote, with a number where several votes have as many members."""
    votes: dict[str, list[str]] = {}
    for column in columns:
        if column.clean.votes:
            same = votes.setdefault(f"vote of {len(column.clean.votes)}", [])
            same += [column.defense] if column.defense not in same else []
    names = []
    for column in columns:
        name = f"vote of {len(column.clean.votes)}"
        same = votes.get(name, [])
        number = f" (number {same.index(column.defense) + 1})" if column.defense in same and len(same) > 1 else ""
        names.append(f"{name}{number}" if column.clean.votes else column.defense)
    return names


def defense_time(column: DefenseOutcome) -> str:
    """What a column's defenses take; a dash where it is a classifier without any."""
    return duration(column.seconds) if column.seconds else "–"


def table_of_columns(columns: tuple[DefenseOutcome, ...], classes: tuple[str, ...], label: int | None) -> list[Row]:
    """One row a defense: the attacker who knows it first, then the one who does not, then what it costs.

    A dash stands where an attacker was not tried; an attack that was stopped says so.
    """
    rows: list[Row] = []
    some = {"Adaptive": any(c.adaptive for c in columns), "Grey box": any(c.grey for c in columns), "Clean": True}
    for name, column in zip(short_names(columns), columns, strict=True):
        row: Row = {"Defense": name}
        guards = {"Adaptive": column.adaptive, "Grey box": column.grey, "Clean": column.clean}
        for title, guard in guards.items():
            if some[title]:
                row[title] = "–" if guard is None else guard_words(guard, classes, label)
        rows.append({**row, "Time": defense_time(column)})
    return rows


def table_of_votes(columns: tuple[DefenseOutcome, ...], classes: tuple[str, ...], label: int | None) -> list[Row]:
    """One row for each member of each vote: what it says of the clean and of the attacked image, and its share of the vote.

    A member whose class is not that of the vote is outvoted. A single vote is not named.
    """
    rows: list[Row] = []
    several = sum(bool(column.clean.votes) for column in columns) > 1
    for name, column in zip(short_names(columns), columns, strict=True):
        begin: Row = {"Vote": name} if several else {}
        images = {"Adaptive": column.adaptive, "Grey box": column.grey, "Clean": column.clean}
        tried = {title: guard for title, guard in images.items() if guard is not None and guard.votes}
        for number, vote in enumerate(column.clean.votes):
            cells = {title: _vote_words(guard, number, classes, label) for title, guard in tried.items()}
            rows.append({**begin, "Member": vote.member, **cells})
    return rows


def _vote_words(guard: DefendedPrediction, number: int, classes: tuple[str, ...], label: int | None) -> str:
    vote = guard.votes[number]
    outvoted = " · outvoted" if vote.prediction.label != guard.prediction.label else ""
    return f"{prediction(vote.prediction, classes, label)} · share {per_cent(vote.share)}{outvoted}"


def vote_members(columns: Sequence[DefenseOutcome], systems: Sequence[System]) -> list[str]:
    """Who votes, with all parameters: a sentence for each vote.

    Args:
        systems: those of the columns, in the same order.
    """
    said = {}
    for name, column, system in zip(short_names(columns), columns, systems, strict=False):
        if column.clean.votes:
            members = "; ".join(f"{n}. {member.describe(votes=True)}" for n, member in enumerate(system.members, 1))
            said[name] = f"{name[:1].upper()}{name[1:]}: {members}."
    return list(said.values())


def sweep_caption(classifier: str, columns: Sequence[DefenseOutcome]) -> str:
    """What a sweep is about.

    Args:
        classifier: the title of the recipe's own.
    """
    vote = " This is not the vote." if any(column.clean.votes for column in columns) else ""
    return (
        f"The classifier is {classifier}, behind this defense alone.{vote} "
        "The attacker does not know the defense here (grey box)."
    )


def vote_headline(columns: tuple[DefenseOutcome, ...], classes: tuple[str, ...]) -> str:
    """Who was outvoted on the attacked images, in a sentence; empty without a vote."""
    votes = [
        (title, guard)
        for column in columns
        for title, guard in (("who knows it", column.adaptive), ("who does not know it", column.grey))
        if guard is not None and guard.votes
    ]
    sentences = []
    for title, guard in votes:
        lost = [vote.member for vote in guard.votes if vote.prediction.label != guard.prediction.label]
        said = f"Under the attacker {title} the vote is {classes[guard.prediction.label]}"
        sentences.append(f"{said}; outvoted: {', '.join(lost)}." if lost else f"{said}, and all members agree.")
    return " ".join(sentences)


def guard_words(guard: DefendedPrediction, classes: tuple[str, ...], label: int | None) -> str:
    """What the classifier sees behind a defense, and whether the attack on it was stopped."""
    words = prediction(guard.prediction, classes, label)
    stopped = guard.attack is not None and guard.attack.stopped
    return f"{words} (attack stopped)" if stopped else words
