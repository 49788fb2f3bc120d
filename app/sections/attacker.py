"""Who attacks on Attack, Compare, Detect and Grad-CAM: an attacker who knows no defense, or one who knows one of the recipe's."""

from __future__ import annotations

from zlib import crc32

import streamlit as st

from app.runtime import background
from app.state import result_keys, session
from core.recipe import AttackOutcome, Example, Recipe, cost, craft

NO_DEFENSE = -1  # in place of a column's number


def attacker_control(recipe: Recipe) -> Recipe:
    """The control: no defense, or one of the recipe's columns."""
    titles = [system.describe() for system in recipe.build_systems()]
    chosen = NO_DEFENSE
    if recipe.known_column() is not None:
        chosen = min(recipe.known_defense, len(titles) - 1)
    # A key of its own for each list: the browser keeps the words that it shows, and the same number can mean another defense.
    key = f"attack_known_{crc32(repr((recipe.domain, titles)).encode())}"
    session.set_widget(key, chosen)
    st.selectbox(
        "The attacker",
        [NO_DEFENSE, *range(len(titles))],
        format_func=lambda n: "knows no defense" if n == NO_DEFENSE else f"knows the defense {titles[n]}",
        key=key,
        width=420,
        on_change=_attacker_changed,
        args=(key,),
        help="An attacker who knows a defense attacks the classifier behind it (adaptive). The defenses are those of Defend.",
    )
    return session.recipe()


def _attacker_changed(key: str) -> None:
    number = st.session_state[key]
    if number == NO_DEFENSE:
        session.update_recipe(attacker="grey")
    else:
        session.update_recipe(attacker="adaptive", known_defense=number)


def start_attack(recipe: Recipe, example: Example) -> None:
    """Begin the attack; whatever else this user had running is stopped."""
    system = recipe.build_known_system()
    title = recipe.build_attack().title + (f" on {system.title}" if system else "")
    background.start(
        result_keys.known_attack(recipe),
        title,
        lambda on_progress: craft(recipe, example, system=system, backward=recipe.backward, on_progress=on_progress),
        seconds=cost.attack_seconds(recipe, system),
    )


def attacker_knowledge(attack: AttackOutcome) -> str:
    """What the attacker of an attack knew, for a table."""
    if not attack.known:
        return "knows no defense"
    return f"knows the defense {attack.known} (adaptive, backward: {attack.backward})"


def attack_target(recipe: Recipe, example: Example) -> str:
    """What the attack is made on: the classifier, or the system that the attacker knows."""
    known_system = recipe.build_known_system()
    if known_system is None:
        return example.classifier.title
    words = known_system.describe()
    return f"{example.classifier.title} behind {words}" if known_system.defense else words
