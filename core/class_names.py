"""Class names and class numbers: a name leads to one number, or to a sentence."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from core.inputs import InvalidInput

_NUMBERED = re.compile(r"(.+) \((\d+)\)", re.DOTALL)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names; those that differ in nothing but case get their number behind them: 'cardigan (474)'."""
    numbers = defaultdict(list)
    for number, name in enumerate(names):
        numbers[name.casefold()].append(number)
    return tuple(
        name if len(numbers[name.casefold()]) == 1 else f"{name} ({number})" for number, name in enumerate(names)
    )


def class_words(names: Sequence[str]) -> tuple[str, ...]:
    """What a recipe calls each class: its name, or its number where several classes have the same name or it has none."""
    folded = [name.strip().casefold() for name in names]
    counts = Counter(folded)
    return tuple(
        name if word and counts[word] == 1 else str(number)
        for number, (name, word) in enumerate(zip(names, folded, strict=True))
    )


def class_number(word: str, classes: Sequence[str], title: str) -> int:
    """The number of the class of that name or number; the same spelling counts more than the same letters.

    Raises:
        InvalidInput: no class, or several.
    """
    stripped = word.strip()
    if stripped in classes and classes.count(stripped) == 1:
        return classes.index(stripped)
    if stripped.isdecimal() and int(stripped) < len(classes):
        return int(stripped)
    plain = [_without_number(name, number) for number, name in enumerate(classes)]
    matches = [number for number, name in enumerate(plain) if name == stripped]
    if not matches:
        matches = [number for number, name in enumerate(plain) if name.casefold() == stripped.casefold()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        numbers = " and ".join(map(str, matches))
        raise InvalidInput(f"{word[:60]!r} names several classes of {title}; give a number: {numbers}.")
    raise InvalidInput(
        f"{word[:60]!r} is no class of {title}; name one, or give its number from 0 to {len(classes) - 1}."
    )


def _without_number(name: str, number: int) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[1] if match and int(match[2]) == number else name
