"""The attack of the recipe and its parameters."""

from __future__ import annotations

import streamlit as st

from app import theme
from app.components.controls import controls, eps_note, remember_value, sync_widget
from app.components.patch_picker import pick_location
from app.sections import attacker
from app.state import result_keys, session
from core import attacks, domains
from core.attacks import LaVAN, UniversalPatch
from core.domains.budget import BUDGETS
from core.inputs import InvalidInput
from core.recipe import Example, Method, Recipe
from core.recipe.example import check_target
from core.recipe.recipe import build_attack


def attack_form(recipe: Recipe, example: Example) -> Recipe:
    """The attack and its parameters, beside the images that they change."""
    names = attacks.names()
    session.set_widget("attack_name", recipe.attack.name)
    name = st.selectbox(
        "Attack",
        names,
        names.index(recipe.attack.name),
        format_func=lambda n: attacks.get(n).title,
        key="attack_name",
        on_change=_attack_changed,
    )
    method = attacks.get(name)
    st.caption(f"{method.summary} {method.paper}.")
    built = recipe.build_attack()
    if isinstance(built, LaVAN | UniversalPatch):
        patch_position(built, example)
    domain = domains.get(recipe.domain)
    parameters = domain.attack_parameters(method, recipe.attack.params)
    params = controls(method, recipe.attack.params, key="attack", parameters=parameters)
    eps_note(parameters, params)
    classes = example.classifier.classes
    targets = ["", *(c for n, c in enumerate(classes) if n != example.label)]
    aim = classes[domain.class_number(recipe.target)] if recipe.target else ""
    key = f"attack_target_{recipe.domain}_{example.label}"
    if aim not in targets:  # a link can name it: it stays, with a sentence
        targets.append(aim)
        try:
            check_target(example, example.label)
        except InvalidInput as error:
            st.warning(theme.plain(str(error)))
    sync_widget(key, aim)
    target = st.selectbox(
        "Target",
        targets,
        targets.index(aim),
        format_func=lambda c: c or "any other class",
        key=key,
        help="Untargeted, or the class that the classifier is to see.",
    )
    remember_value(key, aim, target)
    other_norm = params.get("norm") != recipe.attack.params.get("norm")
    if other_norm:  # a length and a largest change have budgets of their own
        params = {word: value for word, value in params.items() if word not in BUDGETS}
    if build_attack(recipe.domain, Method(name=name, params=params)) == built:
        params = recipe.attack.params  # the same values written in another way are no change
    if (params, target) != (recipe.attack.params, aim):
        session.update_recipe(attack=Method(name=name, params=params), target=target)
        if other_norm:
            st.rerun()
    return attacker.attacker_control(session.recipe())


def patch_position(attack: LaVAN | UniversalPatch, example: Example) -> None:
    """The image with the patch's outline, to be put where the user likes."""
    size = example.classifier.size
    spot = (attack.row, attack.column) if attack.place == "given" else None
    try:
        side = attack.side(size, size) / size
    except InvalidInput as error:
        st.error(theme.plain(str(error)))
        return
    pick_location(
        example.clean,
        side,
        spot,
        key=f"place_{attack.name}_{result_keys.example(session.recipe())}",
        put=session.set_patch_location,
    )


def _attack_changed() -> None:
    session.update_recipe(attack=Method(name=st.session_state.attack_name))
