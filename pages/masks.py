"""Attention masks: what the classifier needs of the picture, what the rest can be, and who reads the masks."""

from functools import partial

import streamlit as st
import torch

from app import live, session, theme
from app.palettes import CIVIDIS, levels
from app.pictures import Pixels, Tile, Tone, row
from app.tables import Row, table
from app.verdicts.masks import masks_verdict
from app.words import attacked_title, per_cent, prediction, stop_note
from core import domains, images
from core.explain import masks
from core.explain.masks import Attention, Kind
from core.recipe import Attacked, Scene
from core.recipe.running import look

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
                    on_click=partial(session.change, domain=name, classifier="", picture={}, target=""),
                )
    st.caption("Your own: train a classifier, then `python -m core train masks_…`; see the README.")


@torch.no_grad()
def looked(attention: Attention, scene: Scene, pixels: Pixels, draw: int) -> tuple[Tile, ...]:
    """One picture, its mask, the picture with all else turned to noise, and what is said of each."""
    classifier, classes = scene.classifier, scene.classifier.classes
    image = images.to_tensor(pixels).to(classifier.device)
    mask = attention.mask(image)
    corrupted = attention.corrupted(image, torch.Generator().manual_seed(draw))
    share, number = attention.reader(mask)[0].softmax(0).max(0)
    return (
        Tile(pixels, "", prediction(look(classifier, image, scene.label), classes, scene.known_label)),
        Tile(
            levels(mask[0].mean(0).cpu().numpy()),
            "its mask",
            f"f2 reads {classes[int(number)]} {per_cent(float(share))}; {per_cent(float(1 - mask.mean()))} may be noise",
            sign="→",
            palette=CIVIDIS,
        ),
        Tile(
            images.to_pixels(corrupted)[0],
            "corrupted",
            prediction(look(classifier, corrupted, scene.label), classes, scene.known_label),
            sign="→",
        ),
    )


def both(attention: Attention, scene: Scene, base: Attacked, draw: int) -> None:
    """The clean picture's line, and the attacked one's."""
    lines: tuple[tuple[str, Tone, Pixels], ...] = (
        ("clean", "clean", scene.clean),
        ("adversarial", "adversarial", base.adversarial),
    )
    for name, tone, pixels in lines:
        tiles = []
        for tile in looked(attention, scene, pixels, draw):
            title = (
                f"{name} {tile.title}".strip().replace(" its ", ", ").replace(f"{name} corrupted", f"{name}, corrupted")
            )
            shown = attacked_title(base, title) if tone == "adversarial" else title
            tiles.append(
                Tile(
                    tile.pixels,
                    shown,
                    tile.caption,
                    tone,
                    tile.sign,
                    f"{title.replace(', ', '_')}.png",
                    palette=tile.palette,
                )
            )
        row(tiles, key=f"masks_{name}", label=f"The {name} picture, its mask, and what the mask leaves", width=190)


@torch.no_grad()
def ladder(kind: Kind, scene: Scene, base: Attacked) -> None:
    """The masks of every β, small."""
    classes = scene.classifier.classes
    tiles = []
    for tone, pixels in (("clean", scene.clean), ("adversarial", base.adversarial)):
        image = images.to_tensor(pixels).to(scene.classifier.device)
        for name in masks.names(scene.classifier.domain):
            about = masks.card(name)
            if about.architecture == kind:
                attention = masks.load(name, str(scene.classifier.device))
                mask = attention.mask(image)
                read = classes[int(attention.reader(mask).argmax())]
                tiles.append(
                    Tile(
                        levels(mask[0].mean(0).cpu().numpy()),
                        f"{tone}, β {masks.beta(about):g}",
                        f"f2 reads {read}",
                        "clean" if tone == "clean" else "adversarial",
                        file_name=f"mask_{tone}_{masks.beta(about):g}.png",
                        palette=CIVIDIS,
                    )
                )
    row(tiles, key="masks_ladder", label="Masks of every β", width=120)


def cards(domain: str) -> list[Row]:
    """How good every mask network is, as measured when it was made."""
    rows: list[Row] = []
    for name in masks.names(domain):
        about = masks.card(name)
        read, kept, noise = (*(metric.text for metric in about.metrics), "", "", "")[:3]
        rows.append(
            {
                "masks": KINDS[masks.kind(about)],
                "β": f"{masks.beta(about):g}",
                "f2 reads right": read,
                "f1 keeps its class": kept,
                "may be noise": noise,
                "parameters": f"{about.parameters:,}",
            }
        )
    return rows


domain = domains.get(session.recipe().domain)
if not masks.names(domain.name):
    elsewhere(domain)
    st.stop()
scene, base = live.attacked()
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
        help="How much corruption is worth: a larger β leaves less of the picture (equation 9).",
        width=240,
    )
    draw = st.slider("Draw of the noise", 1, 20, 1, key="masks_draw", help="Another η (equation 8).", width=240)
name = masks.find(domain.name, kind, beta)
attention = masks.load(name, str(scene.classifier.device))
with torch.no_grad():
    classes = scene.classifier.classes
    batch = torch.cat([scene.images, images.to_tensor(base.adversarial)]).to(scene.classifier.device)
    calm, read = attention.read(batch).argmax(1).tolist()
with head:
    said = masks_verdict(scene.before, base.verdict, (calm, read), classes, scene.label, scene.label_known)
    theme.verdict(stop_note(base) + said)
both(attention, scene, base, draw)
about = attention.about
if about.trained_against != scene.classifier.name:
    other, this = (
        theme.plain(title) for title in (domain.classifier_title(about.trained_against), scene.classifier.title)
    )
    st.info(f"These masks were learnt on {other}; for {this} they are a transfer, as in the paper's table 3.")
st.caption(
    "Bright is what the classifier needs: 1 − A of equation 8, the mean over the colours. Everywhere else the picture may turn to noise; "
    "the corrupted picture shows it, and what the classifier says of it. f2 is a LeNet that only gets to see the mask."
)
st.subheader("By β", anchor=False)
ladder(kind, scene, base)
st.subheader("How good they are", anchor=False)
table(cards(domain.name), key="masks_cards", name="attention_masks")
st.caption(
    f"On all test pictures of {domain.title}, clean, seed 0. Masks that keep their class are no defense by themselves: "
    "an attacker who knows them changes both. Detect shows that attacker beside the one who does not know them."
)
with st.container(horizontal=True):
    if st.button("Open Detect", key="masks_detect", icon=":material/troubleshoot:"):
        session.open_page("detect")
st.caption(f"{theme.plain(base.method)} on {theme.plain(scene.classifier.title)}, seed {session.recipe().seed}.")
