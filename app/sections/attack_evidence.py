"""The numbers and plots of one attack, and its details."""

from __future__ import annotations

import streamlit as st

from app import theme
from app.components.ab_toggle import ab_toggle
from app.components.image_row import Pixels
from app.components.patch_picker import location_plot
from app.components.playback import playback, save_animation
from app.components.tables import table
from app.plots.attack_plots import flow_plot, top_classes_plot, trace_plot
from app.runtime import background, examples, progress, recipe_jobs
from app.sections import attacker
from app.sections.printed_patch import print_section
from app.state import result_keys, results
from app.state.result_keys import Kind
from app.text import (
    budget,
    duration,
    per_cent,
    prediction,
    right_or_wrong,
    rival_of,
    starts_clean,
)
from core import domains
from core.images import rounding_note
from core.recipe import Outcome, Trace
from core.recipe.norms import distances


def attack_evidence(outcome: Outcome) -> None:
    """The numbers that belong to the images, then the details."""
    attacked, classes = outcome.attacked, outcome.classes
    true, label = _followed_class(outcome), outcome.known_label
    unit = domains.get(outcome.domain).linf.unit
    first = attacked.steps_to_success if attacked.success else None
    start = "" if first != 0 else " (clean image)" if starts_clean(outcome) else " (random start)"
    numbers = [
        (
            "Steps until fooled",
            f"{attacked.steps_to_success:,}{start}" if attacked.success else "– (stopped)" if attacked.stopped else "–",
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
            "Not one pixel of the 8-bit image changed: eps is below half a gray level, or the gradient is zero here."
        )
        st.info(failed if outcome.recipe.build_attack().minimal_norm else still, icon=":material/info:")
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
                f"clean: {prediction(outcome.clean_prediction, classes, label)}",
                f"adversarial: {prediction(attacked.prediction, classes, label)}",
            ),
            key="blink",
        )
    if more:
        with more[0]:
            if lavan:
                _location_map(outcome)
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
                _frame_text(trace, at[number], frame, outcome, true, rival)
                for number, frame in zip(trace.snapshot_steps, trace.snapshots, strict=True)
            ]
            tick = next((k for k, n in enumerate(trace.snapshot_steps) if first is not None and n >= first), None)
            playback(
                trace.snapshots,
                captions,
                key="playback",
                identity=str(result_keys.known_attack(outcome.recipe)),
                first=tick,
            )
            save_animation(trace.snapshots, key="animation", name=outcome.recipe.attack.name)
        with curves:
            trace_plot(trace, true, rival, targeted=attacked.target is not None, first=first, key="trace")
    with before_after:
        top_classes_plot(outcome.clean_prediction, attacked.prediction, classes, label, key="top5")


def _followed_class(outcome: Outcome) -> str:
    """The class whose confidence the trace follows: the true one, or the clean prediction where that is unknown."""
    name = outcome.classes[outcome.label]
    return name if outcome.label_known else f"{name} (clean prediction)"


def _location_map(outcome: Outcome) -> None:
    """Where the patch would have worked too."""
    target, example = outcome.attacked.target, examples.current()
    if target is None or example is None:
        return
    key = result_keys.locations(outcome.recipe)
    location_map = results.get(key)
    if location_map is not None:
        location_plot(location_map, outcome.classes[target], key="places")
        return
    if progress.show_progress(Kind.LOCATIONS, image=False):
        return
    st.caption(f"Tries the same patch budget toward {theme.plain(outcome.classes[target])} at 25 places.")
    if st.button("Map the places", icon=":material/grid_on:", key="map_places"):
        background.invalidate(key)
        recipe_jobs.start_location_map(outcome.recipe, example, target)
        st.rerun()


def _frame_text(trace: Trace, at: int, frame: Pixels, outcome: Outcome, true: str, rival: str) -> str:
    """What one frame of the playback says: prediction, both confidences, the objective, how far the image has moved."""
    seen = trace.predicted[at]
    l2, linf = distances(outcome.clean, frame)
    said = f"{right_or_wrong(seen, outcome.known_label)}{outcome.classes[seen]}"
    number = trace.numbers[at]
    which = f"step {number}"
    if not number:
        which += " (the clean image)" if starts_clean(outcome) else " (the random start)"
    if outcome.attacked.success and number == outcome.attacked.steps_to_success:
        which += ", fooled first"
    unit = domains.get(outcome.domain).linf.unit
    return (
        f"{which}: {said} · {true} {per_cent(trace.confidence[at])}, "
        f"{rival} {per_cent(trace.runner_up_confidence[at])} · objective {trace.loss[at]:.3g} · L2 {l2:.2f}, L∞ {budget(linf, unit)}"
    )


def _against_eps(outcome: Outcome, unit: str) -> list[dict[str, object]]:
    """The measured L∞ beside the eps that was set, for an attack with one."""
    values = outcome.recipe.build_attack().values()
    if "eps" not in values or values.get("norm") == "l2":
        return []
    measured, eps = budget(outcome.attacked.norms.linf, unit), values["eps"]
    note = rounding_note(eps)
    return [
        {"": "L∞ of the 8-bit image, eps", "value": f"{measured}, {budget(eps, unit)}" + (f". {note}" if note else "")}
    ]


def attack_details(outcome: Outcome) -> None:
    """Norms, checks and the recipe, folded away."""
    attacked, classes = outcome.attacked, outcome.classes
    unit = domains.get(outcome.domain).linf.unit
    with st.expander("More: numbers, the 8-bit check, the recipe"):
        rows: list[dict[str, object]] = [
            {"": "attack", "value": attacked.method},
            {"": "attacker", "value": attacker.attacker_knowledge(attacked)},
            {"": "true class", "value": classes[outcome.label] if outcome.label_known else "unknown"},
            {"": "prediction before", "value": prediction(outcome.clean_prediction, classes, outcome.known_label)},
            {
                "": "prediction after 8-bit rounding",
                "value": prediction(attacked.prediction, classes, outcome.known_label),
            },
            {"": "flips back when rounded", "value": "yes" if attacked.lost_to_quantization else "no"},
            {"": "steps run", "value": str(attacked.iterations)},
            {"": "gradients, logits computed", "value": f"{attacked.gradients:,}, {attacked.queries:,}"},
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
