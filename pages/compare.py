"""Several attacks on one image at the same budget, side by side, and on classifiers that they were not made on."""

import streamlit as st

from app import theme
from app.components.controls import remember_value, sync_widget
from app.components.image_row import Tile, magnified_difference, row
from app.components.tables import table
from app.runtime import background, examples, progress, recipe_jobs
from app.sections.attacker import attack_target, attacker_control
from app.sections.diagnostics import diagnostics
from app.state import result_keys, results, session
from app.state.result_keys import AnyKey, Kind
from app.text import attacked_title, budget, plural, prediction
from app.verdicts.compare import compare_verdict, ended_at_success, table_of_attacks, table_of_transfer
from core import attacks, domains
from core.analysis.comparison import Comparison
from core.images import rounding_note
from core.recipe import Example, Recipe

MOST = 8  # attacks


def chosen(recipe: Recipe) -> Recipe:
    """Which attacks stand beside each other."""
    comparison = recipe.comparison
    sync_widget("comparison_attacks", list(comparison.attacks))
    names = st.multiselect(
        "Attacks",
        attacks.names(),
        list(comparison.attacks),
        format_func=lambda n: attacks.get(n).title,
        max_selections=MOST,
        key="comparison_attacks",
        help="Each runs with its own usual settings and the budget below, where it has one.",
    )
    remember_value("comparison_attacks", list(comparison.attacks), list(names))
    if not names:
        st.caption("Choose at least one attack.")
    elif tuple(names) != comparison.attacks:
        session.update_recipe(comparison={**comparison.model_dump(), "attacks": tuple(names)})
    return session.recipe()


def with_budget(recipe: Recipe) -> Recipe:
    """The budget that all of them get."""
    comparison, usual = recipe.comparison, domains.get(recipe.domain).linf
    unit, step = (255, 0.5) if usual.unit == "/255" else (1, usual.step)
    current_eps = round(recipe.comparison_eps * unit, 6)
    form = (0.0, round(max(usual.slider_max * unit, current_eps), 6), step)
    sync_widget("comparison_eps", current_eps, *form)
    eps = st.slider(
        f"eps (n{usual.unit})" if usual.unit else "eps",
        *form[:2],
        current_eps,
        step=step,
        format="%g",
        key="comparison_eps",
        help="How far each value may move.",
    )
    remember_value("comparison_eps", current_eps, eps, *form)
    if rounding_note(eps / unit):
        st.caption(rounding_note(eps / unit))
    most = max(200, comparison.steps)
    sync_widget("comparison_steps", comparison.steps, most)
    steps = st.slider(
        "steps",
        1,
        most,
        comparison.steps,
        key="comparison_steps",
        help="Gradient steps; for a black box, how often it may ask.",
    )
    remember_value("comparison_steps", comparison.steps, steps, most)
    if (eps, steps) != (current_eps, comparison.steps):
        session.update_recipe(
            comparison={
                **comparison.model_dump(),
                "eps": comparison.eps if eps == current_eps else eps / unit,
                "steps": steps,
            }
        )
    return session.recipe()


def side_by_side(result: Comparison, example: Example, dimmed: bool) -> None:
    """A column an attack: its image, and its change."""
    classes, label = example.classifier.classes, example.known_label
    tiles, changed = [], []
    for entry in result.entries:
        done = entry.attacked
        tiles.append(
            Tile(
                done.adversarial,
                attacked_title(done, entry.attack.title),
                prediction(done.prediction, classes, label),
                "adversarial" if done.success else "neutral",
                file_name=f"{entry.name}.png",
            )
        )
        change, factor = magnified_difference(example.clean, done.adversarial)
        unit = domains.get(example.classifier.domain).linf.unit
        words = f"L∞ {budget(done.norms.linf, unit)} · L2 {done.norms.l2:.2f}"
        alt = f"What {entry.attack.title} changed, times {factor}. {words}"
        file = f"{entry.name}_delta.png"
        changed.append(Tile(change, f"δ × {factor}", words, "neutral", file_name=file, alt=alt))
    row(tiles, key="comparison_images", label="What each attack made", width=118, dimmed=dimmed)
    row(changed, key="comparison_changes", label="What each attack changed", width=118, dimmed=dimmed)


def other_classifiers(recipe: Recipe, example: Example) -> None:
    """The attack of the Attack screen, made on each classifier of the domain and shown to all of them."""
    domain = domains.get(recipe.domain)
    names = tuple(n for n in domain.classifier_names() if domain.is_local(n))
    st.subheader("Does it transfer?", anchor=False)
    if len(names) < 2:
        st.caption(
            f"{domain.title} has one classifier here; CIFAR-10 and MNIST have several. A black-box attack is made on one of them "
            "and tried on the others."
        )
        return
    titles = {name: domain.classifier_title(name) for name in names}
    method = recipe.attack_description()
    st.caption(
        f"{method}, the attack of the Attack page, made on one classifier (rows) and shown to the others (columns), which the "
        "attacker never saw."
    )
    result = results.get(result_keys.transfer(recipe))
    if result is None and progress.show_progress(Kind.TRANSFER, image=False):
        return
    if result is None:
        if st.button("Try every classifier", icon=":material/swap_horiz:", key="transfer"):
            background.invalidate(result_keys.transfer(recipe))
            recipe_jobs.start_transfer(recipe, example, names)
            st.rerun()
        return
    table(table_of_transfer(result, titles, example.classifier.classes), key="transfer_table", name="transfer")
    if len(result.predictions) < len(result.names):
        st.caption(f"Stopped after {len(result.predictions)} of {plural(len(result.names), 'classifier')}.")


example = examples.current()
if example is None:
    st.stop()
assert example is not None
head = st.container()
recipe = chosen(session.recipe())
with st.container(key="bench"):
    left, right = st.columns([1, 2.6], gap="large")
with left:
    run_slot = st.container()
    if recipe.defenses:
        recipe = attacker_control(recipe)
    recipe = with_budget(recipe)
session.sync_query_params()
key = result_keys.comparison(recipe)
shown: tuple[AnyKey, Comparison] | None = st.session_state.get("shown_comparison")
place = result_keys.example(recipe)
if shown is not None and shown[0] != place:
    shown = None
with run_slot:
    pressed = st.button(
        "Run the attacks",
        type="primary",
        icon=":material/bolt:",
        key="run_comparison",
        width="stretch",
        shortcut="ctrl+enter",
        on_click=background.invalidate,
        args=(key,),
    )
    if "worst_case" not in recipe.comparison.attacks and len(recipe.comparison.attacks) < MOST:
        pressed |= st.button(
            "Run the worst case too",
            icon=":material/vertical_align_bottom:",
            key="worst",
            width="stretch",
            wrap=True,
            help="APGD-CE, APGD-T and Square one after another: the part of AutoAttack that needs no tuning.",
            on_click=session.add_attack,
            args=("worst_case",),
        )
    elif st.session_state.get("worst"):
        pressed = True  # that button was pressed, and with it went its place
if results.get(key) is None and not background.blocked(key) and (pressed or shown is None):
    recipe_jobs.start_comparison(recipe, example)
with left:
    busy = progress.show_progress(Kind.COMPARISON)
result = results.get(key)
if result is not None:
    shown = st.session_state.shown_comparison = (place, result)
with head:
    if shown is not None:
        unit = domains.get(recipe.domain).linf.unit
        # Of the clean image, by whatever was attacked.
        before = next(
            (e.attacked.clean_prediction for e in shown[1].entries if e.attacked.clean_prediction is not None),
            example.clean_prediction,
        )
        theme.verdict(
            compare_verdict(shown[1], example.classifier.classes, before, example.label, example.label_known, unit)
        )
    else:
        waits = progress.status_text(key, "", "The comparison") if background.estimated_seconds(key) else ""
        theme.verdict(
            "The attacks are running." if busy else waits or "Press Run to put the attacks beside each other."
        )
with right:
    if shown is not None:
        if result is None and not busy:
            st.info("These images are of the run before. Press Run for the settings on the left.")
        side_by_side(shown[1], example, dimmed=result is None)
if shown is not None:
    diagnostics(shown[1].flags(), key="comparison_flags")
    unit = domains.get(recipe.domain).linf.unit
    table(
        table_of_attacks(shown[1], example.classifier.classes, example.known_label, unit),
        key="comparison",
        name="attacks",
    )
    stopped = ended_at_success(shown[1])
    if stopped:
        st.caption(
            f"{', '.join(stopped)} ended at the first success, where the confidence is lowest; the others ran all their steps. "
            "Compare confidences only among those that ran on."
        )
    st.caption(
        f"One image, seed {recipe.seed}, made on {theme.plain(attack_target(recipe, example))}, judged after 8-bit rounding. "
        "A gradient and a query each count one look at one image."
    )
other_classifiers(recipe, example)
