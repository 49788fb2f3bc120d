"""Learned denoisers: what a network removes from an attacked image, beside the perturbation that the attack added."""

from functools import partial

import numpy as np
import streamlit as st

from app import theme
from app.components.image_row import Role, Tile, row
from app.components.kernel_explorer import kernel_explorer
from app.components.tables import Row, table
from app.runtime import progress
from app.runtime.streamlit_adapter import fragment
from app.state import session
from app.text import attacked_title, per_cent, prediction, stop_note
from app.verdicts.denoisers import denoiser_verdict
from core import defenses, domains
from core.analysis.denoising import DenoisedImage, Denoising, Values, denoise, kernel_maps
from core.defenses import DKN, LearnedDefense
from core.figures.colormaps import DIVERGING, signed
from core.inputs import InvalidInput
from core.recipe import AttackOutcome, Example, Method, Recipe
from core.recipe.columns import methods_of, with_method

TONES: tuple[Role, Role] = ("clean", "adversarial")


def learned(domain: domains.Domain) -> dict[str, Method]:
    """The denoisers with weights for the domain, by their titles."""
    result = {}
    for name in defenses.names(domain):
        method = defenses.get(name)
        if issubclass(method, LearnedDefense):
            for weights in method.available(domain):
                result[f"{method.title}, {weights}"] = Method(name=name, params={"weights": weights})
    return result


def chosen(recipe: Recipe, offered: dict[str, Method]) -> str:
    """The recipe's own denoiser: the first among its defenses; else one that was trained against its classifier, else the first."""
    own = [(method.name, method.params.get("weights")) for method in methods_of(recipe.defenses)]
    for title, method in offered.items():
        if (method.name, method.params["weights"]) in own:
            return title
    against = recipe.classifier or domains.get(recipe.domain).classifier_names()[0]
    return next(
        (title for title, method in offered.items() if str(method.params["weights"]).endswith(against)),
        next(iter(offered)),
    )


def use(offered: dict[str, Method]) -> None:
    """Keep the denoiser of the list in the recipe: in place of its first learned one, else as a column of its own."""
    names = {method.name for method in offered.values()}
    with session.report_errors():
        columns = with_method(session.recipe().defenses, names, offered[st.session_state.denoiser])
        session.update_recipe(defenses=columns)


def compare(method: Method) -> None:
    """Open Defend with the denoiser beside the input transformations of Hao et al. 2019."""
    others = (
        Method(name="bitdepth", params={"bits": 1}),
        Method(name="jpeg", params={"quality": 80}),
        Method(name="spatial", params={"window": 2}),
        Method(name="tvm"),
    )
    session.update_recipe(defenses=((method,), *((other,) for other in others)))
    session.open_page("defend")


def nothing(domain: domains.Domain) -> None:
    """What stands here for a domain without denoisers."""
    theme.verdict(f"No denoiser has been trained for {domain.title}.")
    st.write("A denoiser learns from the images of one domain. Those that are here belong to these domains:")
    with st.container(horizontal=True):
        for name in domains.names():
            if learned(domains.get(name)):
                st.button(
                    domains.get(name).title,
                    key=f"denoisers_{name}",
                    type="primary",
                    on_click=partial(session.update_recipe, domain=name, classifier="", image={}, target=""),
                )
    st.page_link("pages/training.py", label="Train your own", icon=":material/model_training:")


def images_of(
    denoised_image: DenoisedImage, example: Example, attack_outcome: AttackOutcome, tone: Role, limit: float
) -> list[Tile]:
    """One image, what was removed from it, and the rest."""
    classes, label = example.classifier.classes, example.known_label
    title = attacked_title(attack_outcome, tone) if tone == "adversarial" else tone
    return [
        Tile(
            denoised_image.image,
            title,
            prediction(denoised_image.before, classes, label),
            tone,
            file_name=f"{tone}.png",
        ),
        difference(denoised_image.residual, "removed", limit, f"{tone}_removed", "−"),
        Tile(
            denoised_image.denoised,
            "denoised",
            prediction(denoised_image.after, classes, label),
            "defended",
            "=",
            f"{tone}_denoised.png",
        ),
    ]


def difference(values: Values, title: str, limit: float, name: str, sign: str = "") -> Tile:
    """A signed map H×W×C, its channels averaged."""
    return Tile(signed(values.mean(2), limit), title, _size(values), "neutral", sign, f"{name}.png", palette=DIVERGING)


def _size(values: Values) -> str:
    return f"L2 {float(np.sqrt((values**2).sum())):.2f}"


def numbers(result: Denoising, example: Example) -> list[Row]:
    """The same in numbers."""
    classes, label = example.classifier.classes, example.known_label
    rows: list[Row] = []
    for name, denoised_image in zip(TONES, (result.clean, result.adversarial), strict=True):
        attacked = name == "adversarial"
        rows.append(
            {
                "": name,
                "before": prediction(denoised_image.before, classes, label),
                "denoised": prediction(denoised_image.after, classes, label),
                "removed, L2": _size(denoised_image.residual).removeprefix("L2 "),
                "perturbation, L2": _size(result.perturbation).removeprefix("L2 ") if attacked else "–",
                "correlation": "–" if not attacked or result.correlation is None else f"{result.correlation:.2f}",
                "energy removed": "–" if not attacked or result.removed is None else per_cent(result.removed),
            }
        )
    return rows


@fragment()
def kernels(example: Example, attack_outcome: AttackOutcome, defense: DKN) -> None:
    """The kernels of one image; only this runs again when another image is chosen."""
    st.subheader("The kernel of each pixel", anchor=False)
    which = st.segmented_control("Image", TONES, default="adversarial", required=True, key="kernels_which")
    pixels = example.clean if which == "clean" else attack_outcome.adversarial
    kernel_explorer(pixels, kernel_maps(example, pixels, defense), key=f"kernels_{which}", label=f"The {which} image")
    st.caption(
        "The network predicts 25 weights for each pixel and channel. The new value is the sum of the contributions: each weight times the "
        "neighbor's value. A pixel that is left as it is has the weight 1 in the middle and 0 around it."
    )


recipe = session.recipe()
domain = domains.get(recipe.domain)
offered = learned(domain)
if not offered:
    nothing(domain)
    st.stop()
example, attack_outcome = progress.require_attack()
head = st.container()
title = chosen(recipe, offered)
session.set_widget("denoiser", title)
st.selectbox("Denoiser", list(offered), key="denoiser", on_change=use, args=(offered,))
method = offered[title]
defense = defenses.build_for(domain, method.name, method.params)
assert isinstance(defense, LearnedDefense)
try:
    result = denoise(example, attack_outcome.adversarial, defense)
except InvalidInput as error:
    with head:
        theme.verdict("This denoiser cannot be used.")
    st.error(theme.plain(str(error)))
    st.stop()
card = defense.artifact().card
with head:
    theme.verdict(
        stop_note(attack_outcome)
        + denoiser_verdict(result, example.classifier.classes, example.label, example.label_known)
    )
if domain.missing_reason() and card.data:
    st.caption(
        theme.plain(
            f"These weights were trained on {card.data}. Other images stand in for it here, so the denoiser does worse."
        )
    )
limit = max(
    float(np.abs(values.mean(2)).max())
    for values in (result.perturbation, result.clean.residual, result.adversarial.residual)
)
for tone, denoised_image in zip(TONES, (result.clean, result.adversarial), strict=True):
    row(
        images_of(denoised_image, example, attack_outcome, tone, limit),
        key=f"denoisers_{tone}",
        label=f"The {tone} image and the denoiser",
        width=150,
    )
row(
    [
        difference(result.perturbation, "perturbation", limit, "perturbation"),
        difference(result.adversarial.residual, "removed", limit, "removed", "−"),
        difference(result.remaining, "left of it", limit, "left", "="),
    ],
    key="denoisers_perturbation",
    label="The perturbation, what was removed, and what is left of it",
    width=150,
)
st.caption(
    f"Differences are means over the channels, from −{limit:.3f} (blue) to {limit:.3f} (vermilion); all share one scale."
    if domain.channels == 3
    else f"Differences go from −{limit:.3f} (blue) to {limit:.3f} (vermilion); all share one scale."
)
table(numbers(result, example), key="denoisers_numbers", name="denoiser")
if isinstance(defense, DKN):
    kernels(example, attack_outcome, defense)
if st.button(
    "Compare with input transformations",
    key="compare_denoiser",
    icon=":material/shield:",
    help="Defend, with the defenses of Hao et al. 2019: bit depth, JPEG, spatial smoothing and total variation.",
):
    compare(method)
with st.expander("About these weights"):
    st.write(theme.plain(f"{card.title}. {card.figures()}."))
    st.write(
        theme.plain(
            f"Trained against {card.trained_against or 'no classifier'}, on {card.data or 'data that the card does not name'}."
        )
    )
    if card.command:
        st.code(card.command, language=None)
st.caption(
    f"{theme.plain(attack_outcome.method)} on {theme.plain(example.classifier.title)}, seed {recipe.seed}, "
    "by an attacker who does not know the denoiser (grey box). The attacker who knows it is on the Defend page: choose *adaptive* there."
)
