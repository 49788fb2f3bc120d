"""One image, one attack: x + δ = x′, and how the classifier came to see something else."""

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Pixels, Tile, magnified_difference, row
from app.runtime import background, examples, progress
from app.sections import attacker
from app.sections.attack_evidence import attack_details, attack_evidence
from app.sections.attack_form import attack_form
from app.sections.diagnostics import diagnostics
from app.sections.printed_patch import patch_on_image, stored_patch
from app.state import result_keys, results, session
from app.state.result_keys import Kind
from app.text import (
    a,
    attack_verdict,
    attacked_title,
    budget,
    prediction,
    start_verdict,
)
from core import attacks, domains
from core.analysis.comparison import diagnose
from core.recipe import Example, Outcome, Prediction, make_outcome


def clean_tile(pixels: Pixels, before: Prediction, classes: tuple[str, ...], label: int | None) -> Tile:
    return Tile(pixels, "x, clean", prediction(before, classes, label), "clean", "", "clean.png")


def equation(example: Example, outcome: Outcome | None, dimmed: bool, live_now: bool) -> None:
    """Clean plus change is adversarial; while an attack runs, its newest image stands where the adversarial one will."""
    tiles = [clean_tile(example.clean, example.clean_prediction, example.classifier.classes, example.known_label)]
    if outcome is not None:
        attacked, unit = outcome.attacked, domains.get(outcome.domain).linf.unit
        change, factor = magnified_difference(outcome.clean, attacked.adversarial)
        words = f"L∞ {budget(attacked.norms.linf, unit)} · L2 {attacked.norms.l2:.2f}"
        seen = prediction(attacked.prediction, outcome.classes, outcome.known_label)
        tiles += [
            Tile(change, f"δ × {factor}", words, "neutral", "+", "delta.png"),
            Tile(
                attacked.adversarial,
                attacked_title(attacked, "x′, adversarial"),
                seen,
                "adversarial",
                "=",
                "adversarial.png",
            ),
        ]
    if outcome is not None and not live_now:
        row(tiles, key="equation", label="clean plus change is adversarial", width=190, dimmed=dimmed)
        return
    places = st.columns(3)
    for place, tile in zip(
        places, tiles[:2], strict=False
    ):  # each at the place and of the size that it has in the whole row
        with place:
            row([tile], key=f"before_{tile.sign}", label=tile.title, width=150, dimmed=outcome is not None)
    if live_now:
        with places[2]:
            st.markdown("**x′ so far**")
            progress.live_preview()


example = examples.current()
if example is None:
    st.stop()
assert example is not None
classes = example.classifier.classes
head = st.container(key="attack_head")
head.html("<span></span>")  # an empty container takes no room
with st.container(key="bench"):
    left, right = st.columns([1, 2.6], gap="large")
with left:
    run_slot = st.container()  # above the settings, which can be longer than the window
    recipe = attack_form(session.recipe(), example)
session.sync_query_params()
key = result_keys.known_attack(recipe)
# The first attack on an image, and any attack that is over in a moment, runs by itself; another one waits for Run.
method = attacks.get(recipe.attack.name)
# A patch that is kept is there to be stuck onto this image, too: another one is trained only when asked for.
idle = method.universal and stored_patch() is not None
single_step = method.single_step
# What stands on the screen stays there, dimmed, until there is something new.
shown: Outcome | None = st.session_state.get("shown_attack")
if shown is not None and (
    (shown.domain, shown.classifier, shown.known_label) != (recipe.domain, example.classifier.name, example.known_label)
    or not np.array_equal(shown.clean, example.clean)
):
    shown = None
with run_slot:
    pressed = st.button(
        "Run the attack",
        type="primary",
        icon=":material/bolt:",
        key="run",
        width="stretch",
        shortcut="ctrl+enter",
        on_click=background.invalidate,
        args=(key,),
    )
if (
    results.get(key) is None
    and not background.blocked(key)
    and (pressed or single_step or (shown is None and not idle))
):
    attacker.start_attack(recipe, example)
busy = progress.show_progress(Kind.ATTACK, image=False)
result = results.get(key)
if result is not None:
    shown = st.session_state.shown_attack = make_outcome(recipe, example, result, ())
with head:
    if shown is not None:
        theme.verdict(attack_verdict(shown))
    else:
        sees = start_verdict(example.clean_prediction, classes, example.known_label)
        number = domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None
        aim = "something else" if number is None else a(classes[number])
        looking = f"{recipe.build_attack().title} is looking for a change that makes it see {aim}."
        waits = (
            progress.status_text(key, "", "The attack")
            if background.estimated_seconds(key)
            else "Press Run to attack this image."
        )
        theme.verdict(f"{sees} {looking}" if busy else waits)
if shown is not None and result is None and not busy:
    run_slot.info("These images are of the run before. Press Run for the settings below.")
with right:
    with st.container(key="stage_room"), st.container(key="stage"):
        equation(example, shown, dimmed=result is None, live_now=busy)
    if shown is not None:
        attack_evidence(shown)
    if method.universal:
        patch_on_image(example)
if shown is not None:
    diagnostics(diagnose(shown), key="attack_flags")
    attack_details(shown)
