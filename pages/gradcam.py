"""Where the classifier looks: class maps of the clean, the attacked and the defended image, and how they moved."""

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Role, Tile, row
from app.components.tables import table
from app.runtime import examples, progress
from app.runtime.streamlit_adapter import fragment
from app.sections.attacker import attack_target, attacker_control, attacker_knowledge
from app.state import result_keys, session
from app.text import per_cent, prediction, stop_note
from app.verdicts.gradcam import cam_verdict, map_words, shift_table
from core import domains
from core.analysis.class_maps import ClassMap, explain
from core.explain.cams import METHODS
from core.explain.layers import Layer, layer
from core.figures.colormaps import DIVERGING, heat, levels, signed
from core.recipe import AttackOutcome, Example, Recipe
from core.recipe.view import EXPLAINED

ABOUT = ("predicted", "true", "target", "another")
TONES: dict[str, Role] = {"clean": "clean", "adversarial": "adversarial", "defended": "defended"}
SCALE = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 256))[..., None].transpose(1, 0, 2)  # from −1 to 1


def choose(recipe: Recipe, example: Example, attack_outcome: AttackOutcome) -> tuple[str, Layer, str]:
    """Method, layer, and the class that is explained: the recipe's view."""
    result, view = examples.layers(example.classifier), recipe.view
    columns = st.columns([1.1, 1.7, 1.75])
    with columns[0]:
        session.set_widget("cam_method", view.class_map)
        method = st.selectbox(
            "Method",
            list(METHODS),
            list(METHODS).index(view.class_map),
            format_func=lambda name: METHODS[name].title,
            key="cam_method",
            on_change=lambda: session.update_view(class_map=st.session_state.cam_method),
            help="How a channel of the layer is weighed.",
        )
    names, titles = [candidate.name for candidate in result], {candidate.name: candidate.title for candidate in result}
    usual = example.classifier.cam_layer if example.classifier.cam_layer in names else names[-1]
    chosen = view.layer if view.layer in names else usual
    with columns[1]:
        key = f"cam_layer_{example.classifier.domain}_{example.classifier.name}"
        session.set_widget(key, chosen)
        st.selectbox(
            "Layer",
            names,
            names.index(chosen),
            format_func=lambda name: titles[name] + (" (usual)" if name == usual else ""),
            key=key,
            on_change=lambda: session.update_view(layer=st.session_state[key]),
            help="Deep layers know what, early layers know where.",
            disabled=METHODS[method].ignores_layer,
        )
    with columns[2]:
        about = explained(recipe, example)
    map_method = METHODS[method]
    if view.layer and view.layer not in names:
        st.caption(
            f"{theme.plain(example.classifier.title)} has no layer {theme.plain(view.layer, 60)} that makes maps; its usual one is shown."
        )
    st.caption(
        f"{map_method.summary} {map_method.paper}." + (" The layer plays no part." if map_method.ignores_layer else "")
    )
    return method, layer(result, chosen), about


def explained(recipe: Recipe, example: Example) -> str:
    """The class that the maps explain."""
    words, view, domain = [word for word in ABOUT if word != "true" or example.label_known], recipe.view, recipe.domain
    kind = view.explained_class if view.explained_class in EXPLAINED else "another"
    if kind == "true" and not example.label_known:
        kind = "predicted"
        st.caption("The true class is unknown; the maps explain the predicted one.")
    names = domains.get(domain).class_words()

    def kind_chosen() -> None:
        word = st.session_state.cam_about
        session.update_view(explained_class=names[example.label] if word == "another" else word)

    session.set_widget("cam_about", kind)
    st.segmented_control(
        "Explain the class",
        words,
        default=kind,
        key="cam_about",
        required=True,
        wrap=True,
        on_change=kind_chosen,
    )
    if kind != "another":
        return kind
    number, key = names.index(view.explained_class), f"cam_class_{domain}"
    session.set_widget(key, number)
    st.selectbox(
        "Class",
        range(len(names)),
        number,
        format_func=example.classifier.classes.__getitem__,
        key=key,
        on_change=lambda: session.update_view(explained_class=names[st.session_state[key]]),
    )
    return view.explained_class


@fragment()
def maps(result: tuple[ClassMap, ...], classes: tuple[str, ...], label: int | None) -> None:
    """Images, maps, maps over images and what moved, one row each; only this runs again when the opacity is moved."""
    words = [
        f"explains {classes[class_map.number]}{'; the map is empty' if class_map.empty else ''}" for class_map in result
    ]
    row(
        [
            Tile(
                class_map.pixels,
                class_map.title,
                prediction(class_map.prediction, classes, label),
                TONES[class_map.kind],
                file_name=f"{class_map.kind}_{n}.png",
            )
            for n, class_map in enumerate(result)
        ],
        key="cam_images",
        label="Images",
        width=150,
    )
    opacity = st.slider("Opacity of the heat", 0.0, 1.0, 0.55, 0.05, key="cam_opacity", width=320)
    row(
        [
            Tile(
                heat(class_map.pixels, class_map.map, opacity),
                class_map.title,
                text,
                TONES[class_map.kind],
                file_name=f"heat_{n}.png",
                alt=f"Heat map, {text}",
            )
            for n, (class_map, text) in enumerate(zip(result, words, strict=True))
        ],
        key="cam_heat",
        label="Heat maps over the images",
        width=150,
    )
    row(
        [
            Tile(
                levels(class_map.map),
                f"{class_map.title}, map",
                map_words(class_map),
                TONES[class_map.kind],
                file_name=f"map_{n}.png",
                alt=f"Class map, {text}",
            )
            for n, (class_map, text) in enumerate(zip(result, words, strict=True))
        ],
        key="cam_maps",
        label="Class maps in grey",
        width=150,
    )
    if all(class_map.similarity is None for class_map in result):
        return  # a map is empty, and there is nothing to compare
    row(
        [
            Tile(SCALE, "shift", "suppressed −1 · shared 0 · emphasized 1", palette=DIVERGING, file_name="scale.png"),
            *(
                Tile(
                    signed(class_map.map - class_map.clean_map, 1.0),
                    f"{class_map.title}, shift",
                    f"{per_cent(class_map.similarity.shared)} shared",
                    TONES[class_map.kind],
                    file_name=f"shift_{n}.png",
                    palette=DIVERGING,
                )
                for n, class_map in enumerate(result)
                if class_map.similarity is not None
            ),
        ],
        key="cam_shift",
        label="What moved against the clean image",
        width=150,
    )


head = st.container()
if session.recipe().defenses:
    attacker_control(session.recipe())
with head:
    _, attack_outcome = progress.require_attack(known=True)
# The maps are of the recipe's classifier and of each member, not of the whole system that the attacker may know.
own = examples.current()
assert own is not None, "require_attack stops the page where there is none"
example = own
recipe = session.recipe()
method, chosen, about = choose(recipe, example, attack_outcome)
key = result_keys.class_maps(recipe, method, chosen.name, about)
with st.container():
    result = progress.run_cached(
        key,
        METHODS[method].title,
        lambda on_progress: explain(
            recipe, example, attack_outcome, method=method, layer=chosen, about=about, on_progress=on_progress
        ),
    )
if result is None:
    with head:
        theme.verdict(progress.status_text(key, "The class maps are being computed.", "The computation of class maps"))
    st.stop()
classes = example.classifier.classes
with head:
    theme.verdict(stop_note(attack_outcome) + cam_verdict(result, classes, example.label, example.label_known))
maps(result, classes, example.known_label)
table(shift_table(result, classes), key="cam_numbers", name="class_maps")
st.caption(
    "Of everything that either map marks, *suppressed* is what only the clean image's map has, *emphasized* what only the other has. "
    "Each map is scaled to its own maximum, so the strengths of two maps cannot be compared, only their places. "
    f"{theme.plain(attack_outcome.method)} on {theme.plain(attack_target(recipe, example))}, seed {recipe.seed}"
    + (f"; the attacker {theme.plain(attacker_knowledge(attack_outcome))}" if recipe.defenses else "")
    + (" (grey box)" if recipe.defenses and not attack_outcome.known else "")
    + ". Add or change defenses on the Defend page."
)
