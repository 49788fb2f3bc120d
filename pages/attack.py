"""One image, one attack: x + δ = x′, and how the classifier came to see something else."""

import numpy as np
import streamlit as st

from app import theme
from app.components.ab_toggle import ab_toggle
from app.components.controls import controls, eps_note, remember_value, sync_widget
from app.components.image_row import Pixels, Tile, magnified_difference, row
from app.components.patch_picker import location_plot, pick_location
from app.components.playback import playback, save_animation
from app.components.tables import table
from app.plots.attack_plots import flow_plot, top_classes_plot, trace_plot
from app.runtime import background, examples, progress, recipe_jobs
from app.sections import attacker
from app.sections.diagnostics import diagnostics
from app.sections.printed_patch import patch_on_image, print_section, stored_patch
from app.state import result_keys, results, session
from app.state.result_keys import Kind
from app.text import (
    a,
    attack_verdict,
    attacked_title,
    budget,
    duration,
    per_cent,
    prediction,
    right_or_wrong,
    rival_of,
    start_verdict,
    starts_clean,
)
from core import attacks, domains
from core.attacks import LaVAN, UniversalPatch
from core.domains.budget import BUDGETS
from core.images import rounding_note
from core.inputs import BadInput
from core.recipe import Example, Method, Outcome, Prediction, Recipe, Trace, flags_of, make_outcome
from core.recipe.norms import lengths
from core.recipe.recipe import build_attack
from core.recipe.running import check_target


def settings(recipe: Recipe, scene: Example) -> Recipe:
    """The attack and its parameters, beside the images that they change."""
    names = attacks.names()
    session.set_widget("attack_name", recipe.attack.name)
    name = st.selectbox(
        "Attack",
        names,
        names.index(recipe.attack.name),
        format_func=lambda n: attacks.get(n).title,
        key="attack_name",
        on_change=_attack_chosen,
    )
    method = attacks.get(name)
    st.caption(f"{method.summary} {method.paper}.")
    built = recipe.built_attack()
    if isinstance(built, LaVAN | UniversalPatch):
        where(built, scene)
    domain = domains.get(recipe.domain)
    parameters = domain.attack_parameters(method, recipe.attack.params)
    params = controls(method, recipe.attack.params, key="attack", parameters=parameters)
    eps_note(parameters, params)
    classes = scene.classifier.classes
    wanted = ["", *(c for n, c in enumerate(classes) if n != scene.label)]
    aim = classes[domain.class_number(recipe.target)] if recipe.target else ""
    key = f"attack_target_{recipe.domain}_{scene.label}"
    if aim not in wanted:  # a link can name it: it stays, with a sentence
        wanted.append(aim)
        try:
            check_target(scene, scene.label)
        except BadInput as error:
            st.warning(theme.plain(str(error)))
    sync_widget(key, aim)
    target = st.selectbox(
        "Target",
        wanted,
        wanted.index(aim),
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


def where(attack: LaVAN | UniversalPatch, scene: Example) -> None:
    """The image with the patch's outline, to be put where the user likes."""
    size = scene.classifier.size
    spot = (attack.row, attack.column) if attack.place == "given" else None
    try:
        side = attack.side(size, size) / size
    except BadInput as error:
        st.error(theme.plain(str(error)))
        return
    pick_location(
        scene.clean,
        side,
        spot,
        key=f"place_{attack.name}_{result_keys.example(session.recipe())}",
        put=session.set_patch_location,
    )


def _attack_chosen() -> None:
    session.update_recipe(attack=Method(name=st.session_state.attack_name))


def clean_tile(pixels: Pixels, before: Prediction, classes: tuple[str, ...], label: int | None) -> Tile:
    return Tile(pixels, "x, clean", prediction(before, classes, label), "clean", "", "clean.png")


def equation(scene: Example, outcome: Outcome | None, dimmed: bool, live_now: bool) -> None:
    """Clean plus change is adversarial; while an attack runs, its newest image stands where the adversarial one will."""
    tiles = [clean_tile(scene.clean, scene.before, scene.classifier.classes, scene.known_label)]
    if outcome is not None:
        attacked, unit = outcome.attacked, domains.get(outcome.domain).linf.unit
        change, factor = magnified_difference(outcome.clean, attacked.adversarial)
        words = f"L∞ {budget(attacked.norms.linf, unit)} · L2 {attacked.norms.l2:.2f}"
        seen = prediction(attacked.verdict, outcome.classes, outcome.known_label)
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


def evidence(outcome: Outcome) -> None:
    """The numbers that belong to the images, then the details."""
    attacked, classes = outcome.attacked, outcome.classes
    true, label = confidence_of(outcome), outcome.known_label
    unit = domains.get(outcome.domain).linf.unit
    first = attacked.first if attacked.success else None
    start = "" if first != 0 else " (clean image)" if starts_clean(outcome) else " (random start)"
    numbers = [
        (
            "Steps until fooled",
            f"{attacked.first:,}{start}" if attacked.success else "– (stopped)" if attacked.stopped else "–",
        ),
        ("L0", f"{attacked.norms.l0:,} px"),
        ("L2", f"{attacked.norms.l2:.2f}"),
        ("L∞", budget(attacked.norms.linf, unit)),
        ("SSIM", f"{attacked.norms.ssim:.3f}"),
        ("Time", duration(attacked.seconds)),
    ]
    with st.container(horizontal=True, key="numbers"):
        for title, value in numbers:
            st.metric(title, value, width="content")
    if attacked.norms.linf == 0 and attacked.iterations:
        failed = "It found no change that fools, so the image stays as it was."
        still = (
            "Not one pixel of the 8-bit image changed: eps is below half a grey level, or the gradient is zero here."
        )
        st.info(failed if outcome.recipe.built_attack().smallest else still, icon=":material/info:")
    rival = rival_of(outcome)
    lavan = outcome.recipe.attack.name == "lavan" and not attacked.known  # the map is of the classifier alone
    kinds = (("Places", lavan), ("Flow", attacked.flow is not None), ("Print", attacked.patch is not None))
    extra = [title for title, there in kinds if there]
    step_by_step, before_after, blinking, *more = st.tabs(["Step by step", "Before and after", "Blink", *extra])
    with blinking:
        ab_toggle(
            outcome.clean,
            attacked.adversarial,
            (
                f"clean: {prediction(outcome.before, classes, label)}",
                f"adversarial: {prediction(attacked.verdict, classes, label)}",
            ),
            key="blink",
        )
    if more:
        with more[0]:
            if lavan:
                mapping(outcome)
            elif attacked.flow is not None:
                flow_plot(outcome.clean, attacked.flow, key="flow")
            elif attacked.patch is not None:
                print_section(outcome)
    with step_by_step:
        scrub, curves = st.columns([2, 3])
        trace = attacked.trace
        with scrub:
            at = {number: k for k, number in enumerate(trace.numbers)}
            captions = [
                frame_words(trace, at[number], frame, outcome, true, rival)
                for number, frame in zip(trace.frame_numbers, trace.frames, strict=True)
            ]
            tick = next((k for k, n in enumerate(trace.frame_numbers) if first is not None and n >= first), None)
            playback(
                trace.frames,
                captions,
                key="playback",
                identity=str(result_keys.known_attack(outcome.recipe)),
                first=tick,
            )
            save_animation(trace.frames, key="animation", name=outcome.recipe.attack.name)
        with curves:
            trace_plot(trace, true, rival, targeted=attacked.target is not None, first=first, key="trace")
    with before_after:
        top_classes_plot(outcome.before, attacked.verdict, classes, label, key="top5")


def confidence_of(outcome: Outcome) -> str:
    """The class whose confidence the trace follows: the true one, or the clean prediction where that is unknown."""
    name = outcome.classes[outcome.label]
    return name if outcome.label_known else f"{name} (clean prediction)"


def mapping(outcome: Outcome) -> None:
    """Where the patch would have worked too."""
    target, scene = outcome.attacked.target, examples.current()
    if target is None or scene is None:
        return
    key = result_keys.locations(outcome.recipe)
    found = results.get(key)
    if found is not None:
        location_plot(found, outcome.classes[target], key="places")
        return
    if progress.show_progress(Kind.LOCATIONS, picture=False):
        return
    st.caption(f"Tries the same patch budget toward {theme.plain(outcome.classes[target])} at 25 places.")
    if st.button("Map the places", icon=":material/grid_on:", key="map_places"):
        background.invalidate(key)
        recipe_jobs.start_location_map(outcome.recipe, scene, target)
        st.rerun()


def frame_words(trace: Trace, at: int, frame: Pixels, outcome: Outcome, true: str, rival: str) -> str:
    """What one frame of the playback says: prediction, both confidences, the objective, how far the image has moved."""
    seen = trace.predicted[at]
    l2, linf = lengths(outcome.clean, frame)
    said = f"{right_or_wrong(seen, outcome.known_label)}{outcome.classes[seen]}"
    number = trace.numbers[at]
    which = f"step {number}"
    if not number:
        which += " (the clean image)" if starts_clean(outcome) else " (the random start)"
    if outcome.attacked.success and number == outcome.attacked.first:
        which += ", fooled first"
    unit = domains.get(outcome.domain).linf.unit
    return (
        f"{which}: {said} · {true} {per_cent(trace.confidence[at])}, "
        f"{rival} {per_cent(trace.strongest[at])} · objective {trace.loss[at]:.3g} · L2 {l2:.2f}, L∞ {budget(linf, unit)}"
    )


def _against_eps(outcome: Outcome, unit: str) -> list[dict[str, object]]:
    """The measured L∞ beside the eps that was set, for an attack with one."""
    values = outcome.recipe.built_attack().values()
    if "eps" not in values or values.get("norm") == "l2":
        return []
    measured, eps = budget(outcome.attacked.norms.linf, unit), values["eps"]
    note = rounding_note(eps)
    return [
        {"": "L∞ of the 8-bit image, eps", "value": f"{measured}, {budget(eps, unit)}" + (f". {note}" if note else "")}
    ]


def details(outcome: Outcome) -> None:
    """Norms, checks and the recipe, folded away."""
    attacked, classes = outcome.attacked, outcome.classes
    unit = domains.get(outcome.domain).linf.unit
    with st.expander("More: numbers, the 8-bit check, the recipe"):
        rows: list[dict[str, object]] = [
            {"": "attack", "value": attacked.method},
            {"": "attacker", "value": attacker.attacker_knowledge(attacked)},
            {"": "true class", "value": classes[outcome.label] if outcome.label_known else "unknown"},
            {"": "prediction before", "value": prediction(outcome.before, classes, outcome.known_label)},
            {
                "": "prediction after 8-bit rounding",
                "value": prediction(attacked.verdict, classes, outcome.known_label),
            },
            {"": "flips back when rounded", "value": "yes" if attacked.flips_back else "no"},
            {"": "steps run", "value": str(attacked.iterations)},
            {"": "looks for a gradient, for logits", "value": f"{attacked.gradients:,}, {attacked.queries:,}"},
            {
                "": "L0, L2, L∞",
                "value": f"{attacked.norms.l0} px, {attacked.norms.l2:.4f}, {budget(attacked.norms.linf, unit)}",
            },
            *_against_eps(outcome, unit),
            {"": "SSIM", "value": f"{attacked.norms.ssim:.5f}"},
            {"": "classifier, device", "value": f"{outcome.classifier}, {outcome.device}"},
            {"": "seed, versions", "value": f"{outcome.recipe.seed}, {outcome.versions}"},
        ]
        table(rows, key="attack_numbers", name="attack")
        st.caption("One image, one run: these numbers describe it and nothing else.")
        st.code(outcome.recipe.to_json(), language="json", height=220)
        st.download_button(
            "Recipe (JSON)",
            outcome.recipe.to_json(),
            "recipe.json",
            "application/json",
            key="recipe_json",
            on_click="ignore",
        )
        st.caption("A link to this very run:")
        address = (st.context.url or "").partition("?")[0]
        st.code(f"{address}?recipe={outcome.recipe.to_link()}", language=None, wrap_lines=True)


scene = examples.current()
if scene is None:
    st.stop()
assert scene is not None
classes = scene.classifier.classes
head = st.container(key="attack_head")
head.html("<span></span>")  # an empty container takes no room
with st.container(key="bench"):
    left, right = st.columns([1, 2.6], gap="large")
with left:
    run_slot = st.container()  # above the settings, which can be longer than the window
    recipe = settings(session.recipe(), scene)
session.sync_query_params()
key = result_keys.known_attack(recipe)
# The first attack on an image, and any attack that is over in a moment, runs by itself; another one waits for Run.
method = attacks.get(recipe.attack.name)
# A patch that is kept is there to be stuck onto this image, too: another one is trained only when asked for.
idle = method.universal and stored_patch() is not None
instant = method.instant
# What stands on the screen stays there, dimmed, until there is something new.
shown: Outcome | None = st.session_state.get("shown_attack")
if shown is not None and (
    (shown.domain, shown.classifier, shown.known_label) != (recipe.domain, scene.classifier.name, scene.known_label)
    or not np.array_equal(shown.clean, scene.clean)
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
if results.get(key) is None and not background.blocked(key) and (pressed or instant or (shown is None and not idle)):
    attacker.start_attack(recipe, scene)
busy = progress.show_progress(Kind.ATTACK, picture=False)
found = results.get(key)
if found is not None:
    shown = st.session_state.shown_attack = make_outcome(recipe, scene, found, ())
with head:
    if shown is not None:
        theme.verdict(attack_verdict(shown))
    else:
        sees = start_verdict(scene.before, classes, scene.known_label)
        number = domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None
        aim = "something else" if number is None else a(classes[number])
        looking = f"{recipe.built_attack().title} is looking for a change that makes it see {aim}."
        waits = (
            progress.status_text(key, "", "The attack")
            if background.estimated_seconds(key)
            else "Press Run to attack this image."
        )
        theme.verdict(f"{sees} {looking}" if busy else waits)
if shown is not None and found is None and not busy:
    run_slot.info("These images are of the run before. Press Run for the settings below.")
with right:
    with st.container(key="stage_room"), st.container(key="stage"):
        equation(scene, shown, dimmed=found is None, live_now=busy)
    if shown is not None:
        evidence(shown)
    if method.universal:
        patch_on_image(scene)
if shown is not None:
    diagnostics(flags_of(shown), key="attack_flags")
    details(shown)
