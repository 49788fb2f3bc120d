"""The ground around an image: how the loss rises, which classes lie near, and what the change is made of."""

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Tile, magnified_difference, row
from app.components.tables import table
from app.plots.landscape_plots import regions_plot, spectrum_plot, surface_plot
from app.runtime import progress
from app.state import result_keys, session
from app.text import attacked_title, per_cent, stop_note
from app.verdicts.landscape import UNCHANGED, regions_verdict, spectrum_verdict, surface_verdict
from core import domains, images
from core.analysis.feature_noise import shuffled
from core.analysis.landscape import decision_regions, loss_surface
from core.explain.landscape import high_share, radial, spectrum
from core.figures.colormaps import CIVIDIS, levels
from core.figures.colors import BLUE, GRAY, VERMILION
from core.recipe import AttackOutcome, Example, Recipe

VIEWS = {"surface": "Loss surface", "regions": "Decision regions", "spectrum": "Spectrum"}


def surface_view(recipe: Recipe, example: Example, attack_outcome: AttackOutcome) -> str:
    """The loss over the gradient's sign and random signs."""
    usual = domains.get(recipe.domain).linf
    scale = 255 if usual.unit == "/255" else 1
    step, most = round(usual.step * scale, 6), round(2 * usual.slider_max * scale, 6)
    attack_size = max(step, step * round(attack_outcome.norms.linf * scale / step))
    radius = min(most, 2 * attack_size) if recipe.view.radius is None else round(recipe.view.radius * scale, 6)
    most, at = max(most, radius), f"landscape_reach_{recipe.domain}"
    session.set_widget(at, radius)
    reach = st.slider(
        f"How far (n{usual.unit})" if usual.unit else "How far",
        min(step, radius),
        most,
        radius,
        step,
        format="%g",
        key=at,
        on_change=lambda: session.update_view(radius=st.session_state[at] / scale),
        width=320,
        help="Of each value, in both directions.",
    )
    key = result_keys.loss_surface(recipe, reach)
    grid = progress.run_cached(
        key, "Loss surface", lambda on_progress: loss_surface(recipe, example, reach / scale, on_progress=on_progress)
    )
    st.caption(
        "Look for a steep rise along the gradient and a flat line along the random direction: few directions are dangerous. "
        "Drag to turn."
    )
    if grid is None:
        return progress.status_text(key, "The loss surface is being measured.", "The measurement")
    surface_plot(grid, example.classifier.classes, example.label, unit=usual.unit, key="landscape_surface")
    return surface_verdict(grid, example.classifier.classes, example.label, example.label_known, usual.unit)


def regions_view(recipe: Recipe, example: Example, attack_outcome: AttackOutcome) -> str:
    """The plane through the clean, the attacked, and an image of the other class."""
    if np.array_equal(example.clean, attack_outcome.adversarial):
        return UNCHANGED
    key = result_keys.decision_regions(recipe)
    result = progress.run_cached(
        key,
        "Decision regions",
        lambda on_progress: decision_regions(recipe, example, attack_outcome, on_progress=on_progress),
    )
    st.caption(
        "Look for how near the clean image lies to a border, and how thin the region is that the attacked image fell "
        "into. The axes have scales of their own."
    )
    if result is None:
        return progress.status_text(key, "The decision regions are being measured.", "The measurement")
    left, right = st.columns([2.4, 1], gap="large")
    with left:
        regions_plot(result, example.classifier.classes, key="landscape_regions")
    with right:
        row(
            [
                Tile(example.clean, "clean", "", "clean", file_name="clean.png"),
                Tile(
                    attack_outcome.adversarial,
                    attacked_title(attack_outcome),
                    "",
                    "adversarial",
                    file_name="adversarial.png",
                ),
                Tile(result.third, result.third_title, "the third corner", "neutral", file_name="third.png"),
            ],
            key="landscape_corners",
            label="The three images that the plane goes through",
            width=120,
        )
    return regions_verdict(result, attack_outcome, example.clean_prediction, example.classifier.classes)


def spectrum_view(recipe: Recipe, example: Example, attack_outcome: AttackOutcome) -> str:
    """The frequencies of the change beside those of the image and of the same change shuffled."""
    clean = example.images[0]
    change = images.to_tensor(attack_outcome.adversarial)[0] - clean
    random = images.to_tensor(shuffled(example.clean, attack_outcome.adversarial, recipe.seed))[0] - clean
    powers = {
        "the image": spectrum(clean - clean.mean((1, 2), keepdim=True)),
        "the change": spectrum(change),
        "the same change, shuffled": spectrum(random),
    }
    shares = {name: high_share(power) for name, power in powers.items()}
    st.caption(
        "Look for a change with most of its power in high frequencies: smoothing removes it. A change like the image's own "
        "survives smoothing."
    )
    difference, factor = magnified_difference(example.clean, attack_outcome.adversarial)
    tiles = [Tile(difference, "the change", f"× {factor}", "adversarial", file_name="change.png")]
    for name, power in powers.items():
        logs = np.log10(np.maximum(power, power.max() * 1e-6 if power.max() else 1.0))
        span = float(logs.max() - logs.min())
        tiles.append(
            Tile(
                levels(logs - logs.min(), span),
                f"spectrum of {name}",
                "no power" if shares[name] is None else f"{per_cent(shares[name])} above 1/4 cycle a pixel",
                "clean" if name == "the image" else "adversarial" if name == "the change" else "neutral",
                file_name=f"spectrum_{name.replace(' ', '_')}.png",
                palette=CIVIDIS,
            )
        )
    row(tiles, key="landscape_spectra", label="Spectra, frequency 0 in the middle, in logarithms", width=170)
    colors = (BLUE, VERMILION, GRAY)
    spectrum_plot(
        [(name, *radial(power), color) for (name, power), color in zip(powers.items(), colors, strict=True)],
        key="landscape_spectrum",
    )
    table(
        [
            {"": name, "above 1/4 cycle a pixel": per_cent(shares[name]), "energy": f"{float(power.mean()):.4g}"}
            for name, power in powers.items()
        ],
        key="landscape_spectra_table",
        name="spectra",
    )
    return spectrum_verdict(shares["the change"], shares["the image"])


example, attack_outcome = progress.require_attack()
recipe = session.recipe()
head = st.container()
session.set_widget("landscape_view", recipe.view.landscape)
st.segmented_control(
    "View",
    list(VIEWS),
    format_func=VIEWS.__getitem__,
    default=recipe.view.landscape,
    required=True,
    key="landscape_view",
    label_visibility="collapsed",
    on_change=lambda: session.update_view(landscape=st.session_state.landscape_view),
)
draw = {"surface": surface_view, "regions": regions_view, "spectrum": spectrum_view}[recipe.view.landscape]
sentence = draw(recipe, example, attack_outcome)
with head:
    theme.verdict(stop_note(attack_outcome) + sentence)
st.caption(
    f"{theme.plain(attack_outcome.method)} on {theme.plain(example.classifier.title)}, one image, seed {recipe.seed}."
)
