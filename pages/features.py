"""Feature noise: a change that is hard to see in the image, and what becomes of it from layer to layer."""

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Pixels, Role, Tile, magnified_difference, row
from app.components.tables import table
from app.plots.feature_noise_plots import feature_noise_plot
from app.runtime import examples, progress, recipe_jobs
from app.state import result_keys, results, session
from app.state.result_keys import Kind
from app.text import per_cent, stop_note
from app.verdicts.features import noise_verdict
from core.analysis.feature_noise import SHUFFLED, LayerMaps, feature_noise, layer_maps
from core.explain.layers import by_depth
from core.explain.noise import IMAGE, LOGITS
from core.figures.colormaps import CIVIDIS, DIVERGING, levels, signed
from core.figures.feature_noise import styled_lines
from core.recipe import AttackOutcome, Example, Recipe

CHANNELS = 6  # shown at once


def attacks_of(recipe: Recipe, attack_outcome: AttackOutcome) -> dict[str, Pixels]:
    """The recipe's attack, and those of Compare where they have been made for this image."""
    result = {recipe.build_attack().title: attack_outcome.adversarial}
    comparison = results.get(result_keys.comparison(recipe))
    for entry in comparison.entries if comparison else ():
        result.setdefault(entry.attack.title, entry.attacked.adversarial)
    return result


def channels(example: Example, shown: LayerMaps, other: Pixels, title: str, sheet: int) -> None:
    """The clean and the attacked image and the noisiest channels of both, and the difference."""
    clean, changed, noise = shown.clean, shown.changed, shown.noise
    order = np.argsort(-noise, kind="stable")[CHANNELS * sheet : CHANNELS * (sheet + 1)]
    difference, factor = magnified_difference(example.clean, other)
    tops = {n: max(float(clean[n].max()), float(changed[n].max())) for n in order}
    lows = {n: min(float(clean[n].min()), float(changed[n].min())) for n in order}
    both: tuple[tuple[str, np.ndarray, Pixels, Role], ...] = (
        ("clean", clean, example.clean, "clean"),
        (title, changed, other, "adversarial"),
    )
    for name, maps, image, tone in both:
        row(
            [
                Tile(image, name, "image", tone, file_name=f"{tone}.png"),
                *(
                    Tile(
                        levels(maps[n] - lows[n], tops[n] - lows[n]),
                        f"channel {n}",
                        f"{lows[n]:.2g} to {tops[n]:.2g}",
                        tone,
                        file_name=f"{tone}_channel_{n}.png",
                        palette=CIVIDIS,
                    )
                    for n in order
                ),
            ],
            key=f"features_{tone}",
            label=f"Feature maps, {name}",
            width=110,
        )
    limits = {n: float(np.abs(changed[n] - clean[n]).max()) for n in order}
    row(
        [
            Tile(difference, "difference", f"× {factor}", "neutral", file_name="difference.png"),
            *(
                Tile(
                    signed(changed[n] - clean[n], limits[n]),
                    f"channel {n}",
                    f"±{limits[n]:.2g}; noise {per_cent(float(noise[n]))}",
                    "neutral",
                    file_name=f"difference_channel_{n}.png",
                    palette=DIVERGING,
                )
                for n in order
            ),
        ],
        key="features_difference",
        label="What changed in the feature maps",
        width=110,
    )


example, attack_outcome = progress.require_attack()
recipe = session.recipe()
head = st.container()
if "features_comparison" in st.session_state and results.get(result_keys.comparison(recipe)) is None:
    recipe_jobs.start_comparison(recipe, example)
    progress.show_progress(Kind.COMPARISON, image=False)
layers = by_depth(examples.layers(example.classifier))
names = [layer.name for layer in layers]
attacked = attacks_of(recipe, attack_outcome)
first = next(iter(attacked))
titles = list(attacked)
with st.container(horizontal=True, vertical_alignment="bottom"):
    if len(titles) > 1:
        picked = st.pills("Attacks", titles, selection_mode="multi", default=titles, key=f"features_attacks_{titles}")
        titles = [title for title in titles if title in picked] or [first]
    elif st.button("Add the attacks of Compare", key="features_more", icon=":material/add:"):
        st.session_state.features_comparison = True
        st.rerun()
chosen = {title: attacked[title] for title in titles}
key = result_keys.feature_noise(recipe, titles)
result = progress.run_cached(key, "Feature noise", lambda _: feature_noise(recipe, example, chosen, names))
if result is None:
    with head:
        theme.verdict(progress.status_text(key, "The feature noise is being measured.", "The measurement"))
    st.stop()
stages = [IMAGE, *names, LOGITS]
usual = len(names) - 1
with head:
    line, moved = ((values[0], values[usual + 1]) for values in (result[titles[0]], result[SHUFFLED]))
    said = noise_verdict(line, moved, "the last feature maps", titles[0] if len(attacked) > 1 else "")
    theme.verdict((stop_note(attack_outcome) if titles[0] == first else "") + said)
name = st.selectbox(
    "Layer",
    names,
    usual,
    format_func={layer.name: layer.title for layer in layers}.__getitem__,
    key=f"features_layer_{recipe.domain}_{example.classifier.name}",
    width=420,
)
feature_noise_plot(stages, styled_lines(result, titles, SHUFFLED), 1 + names.index(name), key="features_depth")
st.caption(
    "At each depth: the L2 size of the change as a share of the clean maps' own. Look for the line that rises where the shuffled "
    "change stays flat: the attack is made for these layers. A defense that works keeps its line low to the end."
)
shown = layer_maps(example, name, attacked[titles[0]])
st.subheader("The noisiest channels first", anchor=False)
sheets = -(-len(shown.noise) // CHANNELS)
sheet = st.pagination(min(sheets, 40), key=f"features_sheet_{name}") - 1 if sheets > 1 else 0
channels(example, shown, attacked[titles[0]], titles[0], sheet)
st.caption(
    "Clean and attacked maps of a channel share one scale. Noise is the energy of the channel's change as a share of the layer's mean "
    "energy a channel."
)
with st.expander("Numbers"):
    table(
        [
            {"": title, **{stage: per_cent(value) for stage, value in zip(stages, values, strict=True)}}
            for title, values in result.items()
        ],
        key="features_numbers",
        name="feature_noise",
    )
st.caption(
    f"{theme.plain(attack_outcome.method)} on {theme.plain(example.classifier.title)}, seed {recipe.seed}; one image"
    + (", an attacker who does not know the defenses (grey box)." if recipe.defenses else ".")
)
