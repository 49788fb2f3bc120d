"""Who attacks on the Attack page: an attacker who knows no defense, or one who knows one of the recipe's."""

from __future__ import annotations

import streamlit as st

from app import session
from app.results import key_of, results
from core.recipe import Attacked, Recipe, Scene, cost, fool

NONE = -1  # in place of a column's number


def attacker(recipe: Recipe) -> Recipe:
    """The control: no defense, or one of the recipe's columns."""
    titles = [defense.described() for defense in recipe.built_defenses()]
    chosen = NONE
    if recipe.known_column() is not None:
        chosen = min(recipe.known_defense, len(titles) - 1)
    session.stand("attack_known", chosen)
    st.selectbox(
        "The attacker",
        [NONE, *range(len(titles))],
        format_func=lambda n: "knows no defense" if n == NONE else f"knows the defense {titles[n]}",
        key="attack_known",
        on_change=_chosen,
        help="An attacker who knows a defense attacks the classifier behind it (adaptive). The defenses are those of Defend.",
    )
    return session.recipe()


def _chosen() -> None:
    number = st.session_state.attack_known
    if number == NONE:
        session.change(attacker="grey")
    else:
        session.change(attacker="adaptive", known_defense=number)


def key(recipe: Recipe) -> str:
    """What the Attack page's result depends on."""
    column = recipe.known_column()
    known = "" if column is None else f" through {[m.model_dump_json() for m in column]} {recipe.backward}"
    return key_of("attack", recipe) + known


def attacked(recipe: Recipe) -> Attacked | None:
    """The attack's result, where it was computed already."""
    found: Attacked | None = results().get(key(recipe))
    return found


def start_attack(recipe: Recipe, scene: Scene) -> None:
    """Begin the attack; whatever else this user had running is stopped."""
    defense = recipe.built_known_defense()
    title = recipe.built_attack().title + (f" on {defense.title}" if defense else "")
    session.start(
        key(recipe),
        title,
        lambda watch: fool(recipe, scene, defense=defense, backward=recipe.backward, watch=watch),
        seconds=cost.attack_seconds(recipe, defense),
    )


def knowledge(attack: Attacked) -> str:
    """What the attacker of an attack knew, for a table."""
    if not attack.known:
        return "knows no defense"
    return f"knows the defense {attack.known} (adaptive, backward: {attack.backward})"
