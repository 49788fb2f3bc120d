"""Detectors: is this image attacked, how often are they right on many, and what of an attacker who knows them."""

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import row
from app.components.tables import table
from app.plots.roc_plot import roc_plot
from app.runtime import background, progress
from app.sections.attacker import attack_target, attacker_control
from app.sections.detector_evidence import clean_scores, detectors, evidence
from app.state import result_keys, results, session
from app.state.result_keys import Kind, ResultKey
from app.text import advice_for, per_cent, stop_note
from app.verdicts.detect import detect_verdict, trial_table, trial_verdict
from core import domains
from core.detectors import Detector, MaskDisagreement, threshold_at
from core.evaluate.detector_benchmark import DetectorBenchmark, benchmark_detector
from core.evaluate.roc import roc
from core.inputs import InvalidInput
from core.progress import OnProgress
from core.recipe import Example, Recipe

MOST = 1000


def benchmark_section(
    recipe: Recipe, example: Example, detector: Detector, threshold: float
) -> tuple[DetectorBenchmark, float] | None:
    """The trial on many images, and the threshold as the user moved it."""
    domain = domains.get(recipe.domain)
    attack = recipe.build_attack()
    if not domain.splits():
        st.info(theme.plain(domain.missing_reason() or "This domain has no data set to try a detector on."))
        return None
    if attack.universal:
        st.info(
            f"{attack.title} makes one change for all images; choose an attack on single images on the Attack page."
        )
        return None
    split = "test" if "test" in domain.splits() else domain.splits()[0]
    most = min(MOST, domain.count(split))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = int(
            st.number_input(
                "Images",
                2,
                most,
                min(100, most),
                25 if most > 50 else 1,
                key=f"detect_count_{domain.name}",
                width=160,
            )
        )
        key = result_keys.detector_benchmark(recipe, detector.title, threshold, count, split)
        pressed = st.button(
            f"Attack {count} images, twice", type="primary", icon=":material/play_arrow:", key="detect_run"
        )
    st.caption(
        f"{theme.plain(recipe.attack_description())} on those that {theme.plain(attack_target(recipe, example))} knows: "
        "once by an attacker who does not know the detector, once by one who wants it silent too, toward the likeliest other class."
    )
    if pressed:
        background.invalidate(key)

        def work(on_progress: OnProgress) -> DetectorBenchmark | None:
            images, labels = domain.sample(count, split=split, seed=recipe.seed)
            return benchmark_detector(
                detector,
                attack,
                images,
                labels,
                threshold=threshold,
                seed=recipe.seed,
                on_progress=on_progress,
            )

        background.start(key, f"{attack.title}, both attackers", work)
    if progress.show_progress(Kind.DETECTOR_BENCHMARK):
        return None
    trial = results.get(key)
    if trial is None:
        return None
    return trial, _threshold(recipe, trial, key)


def _threshold(recipe: Recipe, trial: DetectorBenchmark, key: ResultKey[DetectorBenchmark]) -> float:
    scores = np.concatenate([trial.clean.score, trial.oblivious.score, trial.adaptive.score])
    low, high = float(scores.min()), float(scores.max())
    step = max((high - low) / 200, 1e-4)
    low, high = min(low, trial.threshold) - step, max(high, trial.threshold) + step
    current = trial.threshold if recipe.view.threshold is None else min(max(recipe.view.threshold, low), high)
    at = f"detect_threshold_{hash(key)}"
    session.set_widget(at, current)
    st.slider(
        "Threshold",
        low,
        high,
        current,
        step,
        format="%.3f",
        key=at,
        on_change=lambda: session.update_view(threshold=st.session_state[at]),
        help="Scores above it are flagged. The attacker who knows the detector aimed below the one it began with.",
    )
    return current


head = st.container()
if session.recipe().defenses:
    attacker_control(session.recipe())
with head:
    example, attack_outcome = progress.require_attack(known=True)
recipe = session.recipe()
available = detectors(example)
with st.container(horizontal=True, vertical_alignment="bottom"):
    key = f"detector_{recipe.domain}"
    name = recipe.view.detector if recipe.view.detector in available else next(iter(available))
    session.set_widget(key, name)
    st.segmented_control(
        "Detector",
        list(available),
        format_func=lambda word: available[word].title,
        default=name,
        required=True,
        key=key,
        wrap=True,
        on_change=lambda: session.update_view(detector=st.session_state[key], threshold=None),
    )
    detector = available[name]
    share = recipe.view.clean_flagged
    if detector.default_threshold is None:
        session.set_widget("detect_share", share)
        st.slider(
            "Clean images flagged, at most",
            0.0,
            max(0.3, share),
            share,
            0.01,
            format="percent",
            key="detect_share",
            on_change=lambda: session.update_view(clean_flagged=st.session_state.detect_share, threshold=None),
            width=260,
            help="The threshold follows from it.",
        )
if recipe.view.detector not in ("", name):
    st.caption(
        f"This classifier has no detector of the kind {theme.plain(recipe.view.detector)}; {detector.title} is shown."
    )
st.caption(f"{detector.summary} {detector.paper}.")
if detector.default_threshold is None:
    quiet = clean_scores(recipe, example, detector)
    if quiet is None:
        with head:
            theme.verdict(
                progress.status_text(
                    result_keys.clean_scores(recipe, detector.title),
                    "The detector is looking at clean images.",
                    "The search for a threshold",
                )
            )
        st.stop()
    try:
        threshold = threshold_at(quiet[0], share)
    except InvalidInput as error:
        with head:
            theme.verdict("The detector has no threshold.")
        st.error(theme.plain(str(error)))
        st.stop()
    source = f"Threshold: exceeded by at most {per_cent(share)} of {quiet[1]}."
else:
    threshold, source = (
        detector.default_threshold,
        "Threshold: the paper's rule, at which classifier and mask reader disagree.",
    )
rows, lines = evidence(detector, example, attack_outcome, threshold)
for half, (name, tiles) in zip(st.columns(2, gap="large"), lines.items(), strict=True):
    with half:
        row(tiles, key=f"detect_{name}", label=f"What the detector goes by, {name}", width=90)
table(rows, key="detect_image", name="detector")
st.caption(source)
st.subheader("On many images", anchor=False)
trial = benchmark_section(recipe, example, detector, threshold)
with head:
    flags = [entry["verdict"] == "flagged" for entry in rows]
    if trial is None:
        seen = (example.clean_prediction, attack_outcome.prediction)
        said = detect_verdict(
            detector.title, (flags[0], flags[1]), seen, example.classifier.classes, example.label, example.label_known
        )
        theme.verdict(stop_note(attack_outcome) + said)
    else:
        theme.verdict(trial_verdict(detector.title, trial[0], trial[1]))
if trial is not None:
    result, moved = trial
    curves = {}
    for name, side in (("does not know it", result.oblivious), ("knows it", result.adaptive)):
        fooled = result.fooled(side)
        if fooled.any():
            curves[name] = roc(result.clean.score, side.score[fooled])
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        if curves:
            roc_plot(curves, moved, key="detect_roc")
        else:
            st.caption("No image fooled the classifier, so there is no curve to draw.")
    with right:
        plain, known = (result.true_positive(side, moved) for side in (result.oblivious, result.adaptive))
        if plain.count and known.count and known.value < plain.value - 0.2:
            st.warning(
                f"The detection does not hold: {per_cent(plain.value)} of the fooling images are flagged when the attacker does not "
                f"know the detector, {per_cent(known.value)} when he does."
                + (" The paper measured only the first." if isinstance(detector, MaskDisagreement) else ""),
                icon=":material/warning:",
            )
        elif known.count < plain.count // 2:
            st.info(
                f"The attacker who knows the detector fools {known.count}, the one who does not {plain.count}. Who knows more should not "
                "do worse: this attack is too weak to tell whether the detector holds. "
                f"Try {advice_for(recipe)}.",
                icon=":material/info:",
            )
        st.caption(
            "The attacker who knows the detector aimed below the threshold that it began with, so his curve rises where that threshold "
            "is. AUC is how often a fooling image scores above a clean one, with its 95 % interval (DeLong et al. 1988 on the logit "
            "scale, widened to Newcombe 2006)."
        )
    table(trial_table(result, moved), key="detect_trial", name="trial")
    st.caption(
        "Of the images that fool the classifier as 8-bit files: true positives are flagged, true negatives are their clean forms that "
        "pass. 95 % intervals (Wilson)."
    )
