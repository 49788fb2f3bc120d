"""What stands beside each other in a recipe, as plain data: systems, in a short form and in a long one."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from core import defenses as defense_methods
from core import domains
from core.inputs import InvalidInput, quoted
from core.systems import Backward, Member, System

MOST_METHODS = 6  # in a chain
MAX_COLUMNS = 12  # of a recipe
MOST_MEMBERS = 6  # of a vote


class Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Method(Plain):
    """An attack or a defense by name, with the parameters that differ from its defaults."""

    name: Annotated[str, Field(max_length=40)]
    params: dict[str, Any] = {}


Chain = tuple[Method, ...]  # defenses, applied from left to right


class MemberSpec(Plain):
    """A classifier of the domain by name ('' for the recipe's own) behind a chain of defenses, which may be empty."""

    classifier: Annotated[str, Field(max_length=80)] = ""
    defenses: Annotated[Chain, Field(max_length=MOST_METHODS)] = ()


class SystemSpec(Plain):
    """The long form of a column: one member, or several that vote.

    JSON has `{"classifier": ..., "defenses": [...]}` for one member and `{"members": [...]}` for several.
    """

    members: Annotated[tuple[MemberSpec, ...], Field(min_length=1, max_length=MOST_MEMBERS)]

    @model_validator(mode="before")
    @classmethod
    def _one_member(cls, values: Any) -> Any:
        if isinstance(values, dict) and values and values.keys() <= {"classifier", "defenses"}:
            return {"members": (values,)}
        return values

    @model_serializer
    def _short(self) -> dict[str, Any]:
        members = [
            {"classifier": member.classifier, "defenses": [method.model_dump() for method in member.defenses]}
            for member in self.members
        ]
        return members[0] if len(members) == 1 else {"members": members}


ColumnSpec = Chain | SystemSpec
Columns = tuple[ColumnSpec, ...]


def members_of(column: ColumnSpec) -> tuple[MemberSpec, ...]:
    """The members of a column in either form."""
    return column.members if isinstance(column, SystemSpec) else (MemberSpec(defenses=column),)


def column_of(members: tuple[MemberSpec, ...]) -> ColumnSpec:
    """The column of those members, in the short form where there is one."""
    if len(members) == 1 and not members[0].classifier and members[0].defenses:
        return members[0].defenses
    return SystemSpec(members=members)


def with_method(columns: Columns, names: Container[str], new: Method) -> Columns:
    """The columns with `new` in place of the first method that is called one of `names`, else with a column of its own.

    Raises:
        InvalidInput: there is no such method, and no room for another column.
    """
    changed: list[ColumnSpec] = []
    done = False
    for column in columns:
        members = []
        for member in members_of(column):
            chain = []
            for method in member.defenses:
                first = method.name in names and not done
                chain.append(new if first else method)
                done = done or first
            members.append(member.model_copy(update={"defenses": tuple(chain)}))
        changed.append(column_of(tuple(members)))
    if done:
        return tuple(changed)
    if len(columns) >= MAX_COLUMNS:
        raise InvalidInput(f"The recipe has {MAX_COLUMNS} defenses already; remove one on the Defend page.")
    return (*columns, (new,))


def methods_of(columns: Columns) -> Iterator[Method]:
    """Every defense of every member of the columns."""
    for column in columns:
        for member in members_of(column):
            yield from member.defenses


def named_classifiers(columns: Columns) -> tuple[str, ...]:
    """The classifiers that columns name, each once."""
    names = (member.classifier for column in columns for member in members_of(column) if member.classifier)
    return tuple(dict.fromkeys(names))


def checked_columns(columns: Columns) -> Columns:
    """The same columns with known defenses that take their parameters, each in its short form where it has one.

    Raises:
        InvalidInput: a column names no defense and no classifier, or a defense that is not to be had.
    """
    for column in columns:
        if not isinstance(column, SystemSpec) and not 1 <= len(column) <= MOST_METHODS:
            raise InvalidInput(f"A defense is a chain of 1 to {MOST_METHODS} methods; this one has {len(column)}.")
        members = members_of(column)
        if len(members) == 1 and not members[0].classifier and not members[0].defenses:
            raise InvalidInput("A column needs a defense, or a classifier other than the recipe's own.")
        for member in members:
            for method in member.defenses:
                defense_methods.build(method.name, method.params)
    return tuple(column_of(members_of(column)) for column in columns)


def check_classifiers(domain_name: str, columns: Columns) -> None:
    """Refuse columns that name a classifier which their domain does not have.

    Raises:
        InvalidInput: one does.
    """
    domain = domains.get(domain_name)
    names = domain.classifier_names()
    for name in named_classifiers(columns):
        if name not in names:
            raise InvalidInput(f"{domain.title} has no classifier called {quoted(name)}; it has {', '.join(names)}.")


def build_chain(domain: domains.Domain, chain: Chain) -> defense_methods.Defense | None:
    """The defense of a chain: that method, a `Chain` of several, or None of none.

    Raises:
        InvalidInput: one is not for the images of that domain.
    """
    built = tuple(defense_methods.build_for(domain, method.name, method.params) for method in chain)
    if not built:
        return None
    return built[0] if len(built) == 1 else defense_methods.Chain(members=built)


def build_column(domain_name: str, column: ColumnSpec) -> System:
    """The system of a column. No weights are loaded.

    Raises:
        InvalidInput: a defense is not for the images of that domain.
    """
    domain = domains.get(domain_name)
    return System(
        tuple(
            Member(
                member.classifier,
                domain.classifier_title(member.classifier) if member.classifier else "",
                build_chain(domain, member.defenses),
            )
            for member in members_of(column)
        )
    )


def resolved_columns(domain_name: str, columns: Columns) -> Columns:
    """The same columns with the domain's defaults spelled out, such as a learned defense's weights."""
    domain = domains.get(domain_name)

    def resolved(member: MemberSpec) -> MemberSpec:
        chain = tuple(
            Method(name=method.name, params=defense_methods.values_for(domain, method.name, method.params))
            for method in member.defenses
        )
        return member.model_copy(update={"defenses": chain})

    return tuple(column_of(tuple(resolved(member) for member in members_of(column))) for column in columns)


def fitting_columns(domain_name: str, columns: Columns) -> Columns:
    """Those columns whose classifiers and defenses are for that domain."""

    def fits(column: ColumnSpec) -> bool:
        try:
            check_classifiers(domain_name, (column,))
            return bool(build_columns(domain_name, (column,)))
        except InvalidInput:
            return False

    return tuple(column for column in columns if fits(column))


def build_columns(domain_name: str, columns: Columns) -> tuple[System, ...]:
    """One system a column. No weights are loaded."""
    return tuple(build_column(domain_name, column) for column in columns)


def check_backward(backward: Backward, attacker: str, systems: tuple[System, ...]) -> None:
    """Refuse a way to differentiate the defenses that an attacker who knows them does not have.

    Raises:
        InvalidInput: it is 'none', or 'true' where a part of a defense has no useful gradient.
    """
    if backward == "none":
        raise InvalidInput("backward is 'none'; an attacker who knows a defense needs another word.")
    if backward == "true" and attacker != "grey":
        without = [title for system in systems for title in system.nondifferentiable_parts()]
        if without:
            raise InvalidInput(f"{' and '.join(without)}: no useful gradient; choose backward 'identity' or 'average'.")
