"""Who attacks on Attack, Compare and Detect: an attacker who knows no defense, or one who knows one of the recipe's."""

from __future__ import annotations

import streamlit as st

from app.state import result_keys, session
from core.recipe import AttackOutcome, Example, Recipe, cost, craft

NONE = -1  # in place of a column's number


def attacker(recipe: Recipe) -> Recipe:
    """The control: no defense, or one of the recipe's columns."""
    titles = [system.described() for system in recipe.built_systems()]
    chosen = NONE
    if recipe.known_column() is not None:
        chosen = min(recipe.known_defense, len(titles) - 1)
    session.stand("attack_known", chosen)
    st.selectbox(
        "The attacker",
        [NONE, *range(len(titles))],
        format_func=lambda n: "knows no defense" if n == NONE else f"knows the defense {titles[n]}",
        key="attack_known",
        width=420,
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


def start_attack(recipe: Recipe, scene: Example) -> None:
    """Begin the attack; whatever else this user had running is stopped."""
    system = recipe.built_known_system()
    title = recipe.built_attack().title + (f" on {system.title}" if system else "")
    session.start(
        result_keys.known_attack(recipe),
        title,
        lambda watch: craft(recipe, scene, system=system, backward=recipe.backward, on_progress=watch),
        seconds=cost.attack_seconds(recipe, system),
    )


def knowledge(attack: AttackOutcome) -> str:
    """What the attacker of an attack knew, for a table."""
    if not attack.known:
        return "knows no defense"
    return f"knows the defense {attack.known} (adaptive, backward: {attack.backward})"


def victim(recipe: Recipe, scene: Example) -> str:
    """What the attack is made on: the classifier, or the system that the attacker knows."""
    known_system = recipe.built_known_system()
    if known_system is None:
        return scene.classifier.title
    words = known_system.described()
    return f"{scene.classifier.title} behind {words}" if known_system.defense else words
