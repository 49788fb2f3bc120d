"""Local gradients smoothing step by step: which windows stand out, and what smoothing them gives back."""

import time
from math import isfinite

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import theme
from app.components.controls import current_values, inline_controls, is_rendered
from app.components.gradient_windows import (
    Batch,
    clean_and_attacked,
    explorer,
    for_both,
    highlight_region,
    histogram,
    patch_overlap,
    trace_batch,
)
from app.components.image_row import Pixels, Role, Tile, preencode, prepare, render, set_caption, wait_for_browser
from app.components.tables import table
from app.runtime import progress
from app.runtime.streamlit_adapter import fragment
from app.state import session
from app.text import attacked_title, duration, per_cent, prediction, stop_note
from app.verdicts.windows import windows_verdict
from core import images
from core.defenses import LGS
from core.defenses.lgs import LGSTrace
from core.figures.colormaps import CIVIDIS, levels
from core.inputs import InvalidInput
from core.recipe import AttackOutcome, Example, Method, Prediction, Recipe
from core.recipe.columns import methods_of, with_method
from core.recipe.example import predict

NAMES = ("clean", "attacked")
TONES: tuple[Role, Role] = ("clean", "adversarial")


def own_smoothing(recipe: Recipe) -> Method:
    """The recipe's own gradients smoothing: the first among its defenses, else the usual one."""
    return next((method for method in methods_of(recipe.defenses) if method.name == "lgs"), Method(name="lgs"))


def change(params: dict[str, object]) -> None:
    """Keep these parameters in the recipe: in place of its first gradients smoothing, else as a column of its own."""
    new = Method(name="lgs", params=params)
    session.update_recipe(defenses=with_method(session.recipe().defenses, ("lgs",), new))


def moved(gamma: float) -> None:
    """The line of the histogram was dragged: the threshold's slider follows."""
    with session.report_errors():
        change({**own_smoothing(session.recipe()).params, "threshold": gamma})
    st.session_state.windows_drags = st.session_state.get("windows_drags", 0) + 1


def sliders(place: DeltaGenerator, smoothing: Method, key: str) -> None:
    """The strip of sliders, and where they stand kept in the recipe."""
    with place:
        # A slider keeps to what the user did with it; after a drag of the line there are new ones.
        chosen = inline_controls(LGS, smoothing.params, key=key)
        try:
            if chosen != LGS(**smoothing.params).model_dump(mode="json", by_alias=True, exclude_defaults=True):
                change(chosen)
            session.sync_query_params()
        except InvalidInput as error:
            st.error(theme.plain(str(error)))


Map = tuple[str, Pixels, str, Pixels | None]  # its title, its values, what is said of it, its palette


def maps(trace: LGSTrace, which: int, pixels: Pixels) -> list[Map]:
    """What the defense computed on one image, from its gradients to what is left; encoded already."""
    magnitude, normalized, suppression = (
        getattr(trace, part)[which].mean(0).numpy() for part in ("magnitude", "normalized", "suppression")
    )
    region, top = trace.region[which, 0].numpy(), float(trace.magnitude.max())
    n_kept, total = int(trace.kept[which].sum()), trace.kept[which].numel()
    share = per_cent(float(region.mean())).replace(" ", "\N{NO-BREAK SPACE}")
    shares = f"{n_kept} of {total} windows, {share}"
    steps: list[Map] = [
        ("magnitude", levels(magnitude, top), f"0 to {top:.2f}", CIVIDIS),
        ("normalized", levels(normalized), f"mean {normalized.mean():.3f}", CIVIDIS),
        ("region", highlight_region(pixels, region), shares, None),
        ("suppression", levels(suppression), f"mean {suppression.mean():.3f}", CIVIDIS),
        ("result", images.to_pixels(trace.result[which]), "", None),
    ]
    preencode((shown, palette) for _, shown, _, palette in steps)
    return steps


def tiles(which: int, pixels: Pixels, steps: list[Map], before: str, title: str) -> list[Tile]:
    """One image and its maps from left to right; what the classifier says of the result follows."""
    name = NAMES[which]
    *between, (_, result, _, _) = steps
    return [
        Tile(pixels, title, before, TONES[which], file_name=f"{name}.png"),
        *(
            Tile(
                shown,
                title,
                words,
                "neutral",
                "→",
                f"{name}_{title}.png",
                f"{title} of the {name} image",
                (),
                palette,
            )
            for title, shown, words, palette in between
        ),
        Tile(result, "result", "", "defended", "=", f"{name}_smoothed.png", deferred_caption=True),
    ]


@fragment()
def windows(example: Example, attack_outcome: AttackOutcome, batch: Batch) -> None:
    """All that depends on the sliders; only this runs again when one of them moves."""
    recipe = session.recipe()
    smoothing, key = own_smoothing(recipe), f"windows_{st.session_state.get('windows_drags', 0)}"
    pair, before = (
        (example.clean, attack_outcome.adversarial),
        (example.clean_prediction, attack_outcome.prediction),
    )
    classifier, label = example.classifier, example.label
    trace, steps_by_image, problem = None, dict[int, list[Map]](), ""
    try:
        # Before anything is drawn: what the browser gets at once, it draws at once.
        defense = LGS(**current_values(LGS, smoothing.params, key=key))
        trace = trace_batch(defense, batch)
        for_both(lambda which: steps_by_image.update({which: maps(trace, which, pair[which])}))
        rows = [
            prepare(
                tiles(
                    which,
                    pixels,
                    steps_by_image[which],
                    prediction(before[which], classifier.classes, example.known_label),
                    attacked_title(attack_outcome, NAMES[1]) if which else NAMES[0],
                ),
                key=f"windows_{NAMES[which]}",
                label=f"Gradients smoothing of the {NAMES[which]} image",
                width=118,
            )
            for which, pixels in enumerate(pair)
        ]
    except InvalidInput as error:
        problem = str(error)
    head = st.container()
    if attack_outcome.mask is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            method = recipe.build_attack().title
            st.info(f"{method} changes the whole image; gradients smoothing is made against patches.")
            if st.button(
                "Attack with a patch",
                key="use_lavan",
                icon=":material/select_all:",
                on_click=lambda: session.update_recipe(attack={"name": "lavan"}, target=""),
            ):
                st.rerun()  # all of the page, not this part of it
    place = st.container()
    waiting = is_rendered(LGS, key=key) and trace is not None  # the strip that stands there can wait for the images
    if not waiting:
        sliders(place, smoothing, key)
    if trace is None:
        with head:
            theme.verdict("These windows do not fit.")
        st.error(theme.plain(problem))
        return
    tokens, given_at = [render(row) for row in rows], time.monotonic()
    after: dict[int, Prediction] = {}
    # Both at once, each on a core of its own, while the images are on their way.
    for_both(lambda n: after.update({n: predict(classifier, trace.result[n : n + 1], label)}))
    for which, token in enumerate(tokens):
        set_caption(
            token, prediction(after[which], classifier.classes, example.known_label), key=f"windows_{NAMES[which]}"
        )
    if waiting:
        wait_for_browser(given_at)
        sliders(place, smoothing, key)
    shares = None
    if attack_outcome.mask is not None:
        shares = patch_overlap(trace, attack_outcome.mask)
    recall = None if shares is None else float(shares.recall[1])
    with head:
        n_kept = int(trace.kept[1].sum())
        seen = (example.clean_prediction, before[1], after[1])
        said = windows_verdict(n_kept, recall, seen, classifier.classes, label, example.label_known)
        theme.verdict(stop_note(attack_outcome) + said)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Windows**")
        shown = recipe.view.windows
        session.set_widget("windows_which", shown)
        st.segmented_control(
            "Image",
            NAMES,
            default=shown,
            required=True,
            key="windows_which",
            label_visibility="collapsed",
            on_change=lambda: session.update_view(windows=st.session_state.windows_which),
        )
        explorer(trace, NAMES.index(shown), defense.threshold, key=f"explorer_{shown}", label=f"The {shown} image")
    with right:
        st.markdown("**Means of the windows** (counts in a logarithmic scale), and γ: drag the line")
        histogram(trace, defense.threshold, key="gamma", moved=moved)
    lines: list[dict[str, object]] = []
    for which_, name in enumerate(NAMES):
        entry: dict[str, object] = {
            "": name,
            "windows kept": f"{int(trace.kept[which_].sum())} of {trace.kept[which_].numel()}",
            "region": per_cent(float(trace.region[which_].float().mean())),
            "prediction": prediction(after[which_], classifier.classes, example.known_label),
        }
        if shares is not None:
            is_attacked = which_ == 1
            for word in ("precision", "recall", "iou"):
                value = float(getattr(shares, word)[which_])
                entry[word.replace("iou", "IoU")] = f"{value:.2f}" if is_attacked and isfinite(value) else "–"
        lines.append(entry)
    table(lines, key="windows_numbers", name="windows")
    st.caption(
        "Of the estimated region, precision is the part that lies in the patch; recall is the part of the patch that was found."
        if shares is not None
        else "Where the patch lies is not known for this attack, so there is no precision and no recall."
    )


example, attack_outcome = progress.require_attack()
windows(example, attack_outcome, clean_and_attacked(example, attack_outcome))
st.caption(
    f"The very arrays that the defense used; {theme.plain(attack_outcome.method)} on {example.classifier.title}, "
    f"{duration(attack_outcome.seconds)}, by an attacker who does not know the defense (grey box)."
)
