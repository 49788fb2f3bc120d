"""Columns as they are written on the command line."""

from __future__ import annotations

from typing import Any

from core.recipe.columns import Chain, ColumnSpec, MemberSpec, Method, column_of

COLUMN = "NAME[:p=v,...][+NAME...][@CLASSIFIER][|...]"
COLUMN_HELP = (
    "a column: defenses chained with +; @CLASSIFIER puts another classifier behind them, or behind none; | separates members that vote. "
    "jpeg:quality=30+lgs, @vgg, 'jpeg@resnet|@vgg'. Repeat it for several columns"
)


def parse_chain(text: str) -> Chain:
    """'jpeg:quality=60+lgs' as a chain of methods; '' as an empty one."""
    methods = []
    for part in text.split("+") if text.strip() else ():
        name, _, words = part.partition(":")
        pairs = [word.partition("=") for word in words.split(",") if word]
        methods.append(Method(name=name.strip(), params={key.strip(): parse_value(value) for key, _, value in pairs}))
    return tuple(methods)


def parse_column(text: str) -> ColumnSpec:
    """'jpeg@resnet|@vgg' as a column of two members that vote; '@' alone is the recipe's own classifier."""
    members = []
    for part in text.split("|"):
        defenses, _, classifier = part.partition("@")
        members.append(MemberSpec(classifier=classifier.strip(), defenses=parse_chain(defenses)))
    return column_of(tuple(members))


def parse_value(text: str) -> Any:
    """A parameter's text as the value that it names; pydantic turns numbers in words into numbers itself."""
    return None if text.lower() in ("none", "auto") else text
