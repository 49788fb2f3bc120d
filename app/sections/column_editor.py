"""The columns of a recipe on the screen: add, remove and chain defenses, choose other classifiers, let them vote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from app.components.controls import controls
from app.components.sortable_list import sortable_list
from app.state import session
from app.theme import plain
from core import defenses, domains
from core.inputs import InvalidInput
from core.recipe import Method, Recipe
from core.recipe.columns import (
    MOST_MEMBERS,
    MOST_METHODS,
    Chain,
    ColumnSpec,
    MemberSpec,
    column_of,
    members_of,
)

MAX_COLUMNS = 8  # columns that can be added here; a recipe may have more
_CLASSIFIER = "classifier "  # before a classifier's name in the list of what can be added


def column_editor(recipe: Recipe) -> Recipe:
    """All columns with their controls; the recipe afterwards."""
    columns = list(recipe.defenses)
    with st.expander("Defenses and their settings", expanded=not columns):
        boxes = st.grid(max(1, len(columns)), min_column_width=230)
        for number, column in enumerate(columns):
            with boxes.cell() if hasattr(boxes, "cell") else boxes, st.container(border=True):
                columns[number] = _edit_column(recipe, number, column)
        _add_column(recipe, columns)
    edited = tuple(columns)
    if edited != recipe.defenses:
        session.update_recipe(defenses=edited)
    return session.recipe()


def _add_column(recipe: Recipe, columns: list[ColumnSpec]) -> None:
    """The list of what one more column may be."""
    domain = domains.get(recipe.domain)
    others = [_CLASSIFIER + name for name in _other_classifiers(recipe)]

    def title(word: str) -> str:
        if word.startswith(_CLASSIFIER):
            return f"Classifier: {domain.classifier_title(word.removeprefix(_CLASSIFIER))}"
        return defenses.get(word).title

    with st.container(horizontal=True, vertical_alignment="bottom"):
        word = st.selectbox(
            "Another defense or classifier" if others else "Another defense",
            [*defenses.names(domain), *others],
            format_func=title,
            key=f"add_name_{domain.name}",
            width=260,
        )
        if st.button("Add a column", icon=":material/add:", key="add", disabled=len(columns) >= MAX_COLUMNS):
            if word.startswith(_CLASSIFIER):
                new = column_of((MemberSpec(classifier=word.removeprefix(_CLASSIFIER)),))
            else:
                new = (Method(name=word),)
            session.update_recipe(defenses=(*columns, new))
            st.rerun()


def _other_classifiers(recipe: Recipe) -> list[str]:
    """The domain's classifiers without the recipe's own."""
    names = domains.get(recipe.domain).classifier_names()
    own = recipe.classifier or names[0]
    return [name for name in names if name != own]


def _edit_column(recipe: Recipe, number: int, column: ColumnSpec) -> ColumnSpec:
    """One column's members, each with its chain."""
    members = list(members_of(column))
    for place, member in enumerate(members):
        if len(members) > 1 or member.classifier:
            if place:
                st.divider()
            vote = f"{place + 1}. " if len(members) > 1 else ""
            st.markdown(f"**{vote}{plain(_title(recipe, member))}**")
        chain = _edit_chain(recipe, number, place, member.defenses)
        members[place] = member.model_copy(update={"defenses": chain})
        with st.container(horizontal=True):
            _chain_menu(recipe, number, place, members)
            if len(members) > 1 and st.button("Remove the member", key=f"leave_{number}_{place}"):
                _replace(number, column_of(tuple(other for n, other in enumerate(members) if n != place)))
    with st.container(horizontal=True):
        if _other_classifiers(recipe):
            _classifier_menu(recipe, number, members)
        if st.button("Remove", key=f"remove_{number}"):
            _replace(number, None)
    return column_of(tuple(members))


def _title(recipe: Recipe, member: MemberSpec) -> str:
    domain = domains.get(recipe.domain)
    own = recipe.classifier or domain.classifier_names()[0]
    return domain.classifier_title(member.classifier or own)


def _edit_chain(recipe: Recipe, number: int, place: int, chain: Chain) -> Chain:
    """The controls of one member's defenses."""
    domain, again = domains.get(recipe.domain), "_" * st.session_state.get("reordered", 0)
    name = f"{number}" if place == 0 else f"{number}m{place}"
    if len(chain) > 1:
        titles = [defenses.get(method.name).title for method in chain]
        words = "-".join(method.name for method in chain)
        sortable_list(
            titles,
            key=f"order_{name}_{words}",
            label="The chain, from first to last",
            moved=partial(_reorder, number, place, chain),
        )
    edited = []
    for step, method in enumerate(chain):
        about = defenses.get(method.name)
        st.markdown(f"**{'→ ' if step else ''}{about.title}**", help=f"{about.summary} {about.paper}.")
        try:
            params = controls(
                about,
                method.params,
                key=f"column_{name}_{step}_{len(chain)}{again}",
                parameters=about.parameters_for(domain),
            )
            # The same values written in another way are no change.
            same = about(**params) == about(**method.params)
            edited.append(method if same else Method(name=method.name, params=params))
        except InvalidInput as error:
            st.error(plain(str(error)))
            edited.append(method)
    return tuple(edited)


def _chain_menu(recipe: Recipe, number: int, place: int, members: list[MemberSpec]) -> None:
    """One more defense behind a member's others, or none of them any more."""
    name = f"{number}" if place == 0 else f"{number}m{place}"
    member, names = members[place], defenses.names(domains.get(recipe.domain))
    with st.popover("Chain" if member.defenses else "Defense", key=f"chain_{name}"):
        then = st.selectbox("Then", names, format_func=lambda n: defenses.get(n).title, key=f"then_{name}")
        if st.button("Put it behind", key=f"behind_{name}", disabled=len(member.defenses) >= MOST_METHODS):
            chain = (*member.defenses, Method(name=then))
            _replace(number, column_of(_with_chain(members, place, chain)))
        # A member that stands on a classifier of its own can do without a defense.
        if member.defenses and (member.classifier or len(members) > 1):
            last = defenses.get(member.defenses[-1].name).title
            if st.button(f"Remove {last}", key=f"shorter_{name}", wrap=True):
                _replace(number, column_of(_with_chain(members, place, member.defenses[:-1])))


def _with_chain(members: list[MemberSpec], place: int, chain: Chain) -> tuple[MemberSpec, ...]:
    return tuple(
        member.model_copy(update={"defenses": chain}) if n == place else member for n, member in enumerate(members)
    )


def _classifier_menu(recipe: Recipe, number: int, members: list[MemberSpec]) -> None:
    """Another classifier for the column, or one more that votes."""
    domain = domains.get(recipe.domain)
    names = ["", *_other_classifiers(recipe)]

    def title(name: str) -> str:
        return domain.classifier_title(name) if name else f"{_title(recipe, MemberSpec())} (the recipe's)"

    with st.popover("Classifier", key=f"who_{number}"):
        if len(members) == 1:
            key = f"of_{number}_{domain.name}"
            session.set_widget(key, members[0].classifier)
            st.selectbox(
                "Classifier behind the defenses",
                names,
                format_func=title,
                key=key,
                on_change=_choose_classifier,
                args=(number, key),
                help="An attacker who does not know the column attacks the recipe's own classifier.",
            )
        another = st.selectbox(
            "Another one that votes",
            names,
            min(1, len(names) - 1),
            format_func=title,
            key=f"voter_{number}_{domain.name}",
            help="Each member's scores are normalized to sum 1 and added (Dornadula et al. 2018).",
        )
        if st.button("Let it vote too", key=f"vote_{number}", disabled=len(members) >= MOST_MEMBERS):
            _replace(number, column_of((*members, MemberSpec(classifier=another))))


def _choose_classifier(number: int, key: str) -> None:
    """The classifier of a column's only member was chosen."""

    def chosen(column: ColumnSpec) -> ColumnSpec:
        (member,) = members_of(column)
        return column_of((member.model_copy(update={"classifier": st.session_state[key]}),))

    _change(number, chosen)


def _reorder(number: int, place: int, chain: Chain, places: tuple[int, ...]) -> None:
    """Put a chain into another order. Controls keep to what the user did with them, so there are new ones then."""

    def moved(column: ColumnSpec) -> ColumnSpec:
        return column_of(_with_chain(list(members_of(column)), place, tuple(chain[n] for n in places)))

    _change(number, moved)
    st.session_state.reordered = st.session_state.get("reordered", 0) + 1


def _change(number: int, changed: Callable[[ColumnSpec], ColumnSpec]) -> None:
    """Put another column in that place."""
    columns = list(session.recipe().defenses)
    columns[number] = changed(columns[number])
    session.update_recipe(defenses=tuple(columns))


def _replace(number: int, column: ColumnSpec | None) -> None:
    """Put another column in that place, or none, and draw the page anew."""
    columns = list(session.recipe().defenses)
    columns[number : number + 1] = [] if column is None else [column]
    session.update_recipe(defenses=tuple(columns))
    st.rerun()
