"""Attention masks: what the classifier needs of the image, what the rest can be, and who reads the masks."""

from functools import partial

import streamlit as st

from app import theme
from app.components.image_row import Role, Tile, row
from app.components.tables import Row, table
from app.runtime import progress
from app.state import session
from app.text import attacked_title, per_cent, prediction, stop_note
from app.verdicts.masks import masks_verdict
from core import domains
from core.analysis.attention import masked_image, masks_by_beta
from core.explain import masks
from core.explain.masks import Attention, Kind
from core.figures.colormaps import CIVIDIS, levels
from core.recipe import AttackOutcome, Example

TONES: tuple[Role, Role] = ("clean", "adversarial")
KINDS: dict[Kind, str] = {"fc": "fully connected (the paper's)", "conv": "convolutional (ours)"}


def elsewhere(domain: domains.Domain) -> None:
    """What stands here for a domain without masks."""
    theme.verdict(f"No attention masks have been trained for {domain.title}.")
    st.write("A mask network learns one classifier on one set of classes. Those that ship belong to these domains:")
    with st.container(horizontal=True):
        for name in domains.names():
            if masks.names(name):
                st.button(
                    domains.get(name).title,
                    key=f"masks_{name}",
                    type="primary",
                    on_click=partial(session.update_recipe, domain=name, classifier="", image={}, target=""),
                )
    st.page_link("pages/training.py", label="Train your own", icon=":material/model_training:")


def looked(attention: Attention, example: Example, attack_outcome: AttackOutcome, tone: Role, draw: int) -> list[Tile]:
    """One image, its mask, the image with all else turned to noise, and what is said of each."""
    classes, label = example.classifier.classes, example.known_label
    pixels = example.clean if tone == "clean" else attack_outcome.adversarial
    result = masked_image(attention, example, pixels, draw)

    def title(words: str) -> str:
        return attacked_title(attack_outcome, words) if tone == "adversarial" else words

    return [
        Tile(pixels, title(tone), prediction(result.prediction, classes, label), tone, file_name=f"{tone}.png"),
        Tile(
            levels(result.mask),
            title(f"{tone}, mask"),
            f"f2 reads {classes[result.mask_class]} {per_cent(result.mask_confidence)}; "
            f"{per_cent(result.noise_share)} may be noise",
            tone,
            "→",
            f"{tone}_mask.png",
            palette=CIVIDIS,
        ),
        Tile(
            result.corrupted,
            title(f"{tone}, corrupted"),
            prediction(result.corrupted_prediction, classes, label),
            tone,
            "→",
            f"{tone}_corrupted.png",
        ),
    ]


def ladder(kind: Kind, example: Example, attack_outcome: AttackOutcome) -> None:
    """The masks of every β, small."""
    tiles = [
        Tile(
            levels(image_mask.mask),
            f"{tone}, β {image_mask.beta:g}",
            f"f2 reads {example.classifier.classes[image_mask.mask_class]}",
            tone,
            file_name=f"mask_{tone}_{image_mask.beta:g}.png",
            palette=CIVIDIS,
        )
        for tone, pixels in zip(TONES, (example.clean, attack_outcome.adversarial), strict=True)
        for image_mask in masks_by_beta(kind, example, pixels)
    ]
    row(tiles, key="masks_ladder", label="Masks of every β", width=120)


def cards(domain: str) -> list[Row]:
    """How good every mask network is, as measured when it was made."""
    rows: list[Row] = []
    for name in masks.names(domain):
        about = masks.card(name)
        read, same_class, noise = (*(metric.text for metric in about.metrics), "", "", "")[:3]
        rows.append(
            {
                "masks": KINDS[masks.kind(about)],
                "β": f"{masks.beta(about):g}",
                "f2 reads right": read,
                "f1 keeps its class": same_class,
                "may be noise": noise,
                "parameters": f"{about.parameters:,}",
            }
        )
    return rows


domain = domains.get(session.recipe().domain)
if not masks.names(domain.name):
    elsewhere(domain)
    st.stop()
example, attack_outcome = progress.require_attack()
head = st.container()
there = [kind for kind in KINDS if any(masks.card(name).architecture == kind for name in masks.names(domain.name))]
with st.container(horizontal=True, vertical_alignment="bottom"):
    kind: Kind = st.segmented_control(
        "Mask network",
        there,
        format_func=KINDS.__getitem__,
        default=there[0],
        required=True,
        key=f"masks_kind_{domain.name}",
    )
    about_all = [masks.card(name) for name in masks.names(domain.name)]
    betas = sorted({masks.beta(about) for about in about_all if about.architecture == kind})
    beta = st.select_slider(
        "β",
        betas,
        betas[len(betas) // 2],
        format_func=lambda value: f"{value:g}",
        key=f"masks_beta_{domain.name}_{kind}",
        help="How much corruption is worth: a larger β leaves less of the image (equation 9).",
        width=240,
    )
    draw = st.slider("Draw of the noise", 1, 20, 1, key="masks_draw", help="Another η (equation 8).", width=240)
name = masks.find(domain.name, kind, beta)
attention = masks.load(name, str(example.classifier.device))
classes = example.classifier.classes
calm, read = (
    masked_image(attention, example, pixels, draw).mask_class for pixels in (example.clean, attack_outcome.adversarial)
)
with head:
    said = masks_verdict(
        example.clean_prediction, attack_outcome.prediction, (calm, read), classes, example.label, example.label_known
    )
    theme.verdict(stop_note(attack_outcome) + said)
for tone in TONES:
    tiles = looked(attention, example, attack_outcome, tone, draw)
    row(tiles, key=f"masks_{tone}", label=f"The {tone} image, its mask, and what the mask leaves", width=190)
about = attention.about
if about.trained_against != example.classifier.name:
    other, this = (
        theme.plain(title) for title in (domain.classifier_title(about.trained_against), example.classifier.title)
    )
    st.info(f"These masks were learnt on {other}; for {this} they are a transfer, as in the paper's table 3.")
st.caption(
    "Bright is what the classifier needs: 1 − A of equation 8, the mean over the colors. Everywhere else the image may turn to noise; "
    "the corrupted image shows it, and what the classifier says of it. f2 is a LeNet that only gets to see the mask."
)
st.subheader("By β", anchor=False)
ladder(kind, example, attack_outcome)
st.subheader("How good they are", anchor=False)
table(cards(domain.name), key="masks_cards", name="attention_masks")
st.caption(
    f"On all test images of {domain.title}, clean, seed 0. Masks that keep their class are no defense by themselves: "
    "an attacker who knows them changes both. Detect shows that attacker beside the one who does not know them."
)
with st.container(horizontal=True):
    if st.button("Open Detect", key="masks_detect", icon=":material/troubleshoot:"):
        session.open_page("detect")
st.caption(
    f"{theme.plain(attack_outcome.method)} on {theme.plain(example.classifier.title)}, seed {session.recipe().seed}."
)
