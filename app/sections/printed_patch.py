"""A universal patch by itself: printed, kept, and stuck onto the image at hand."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import theme
from app.components.image_row import Tile, row
from app.components.patch_picker import pick_location
from app.state import result_keys, session
from app.text import a, count_of, per_cent, prediction
from core.analysis.patch_transfer import PrintedPatch, apply_patch, extract_patch
from core.images import page
from core.inputs import InvalidInput
from core.recipe import Example, Outcome


def stored_patch() -> PrintedPatch | None:
    """The patch that this user keeps."""
    result: PrintedPatch | None = st.session_state.get("kept_patch")
    return result


def print_section(outcome: Outcome) -> None:
    """The universal patch by itself, to save, to print and to keep for other images."""
    attacked = outcome.attacked
    patch = attacked.patch
    assert patch is not None
    tile, paper = st.columns([1, 1.2])
    with tile:
        words = f"{patch.shape[1]}×{patch.shape[0]} pixels"
        row([Tile(patch, "the patch", words, "adversarial", file_name="patch.png")], key="patch", label="The patch")
    with paper:
        width = st.number_input(
            "Width on paper (cm)",
            0.5,
            100.0,
            8.0,
            0.5,
            key="patch_cm",
            help="Print the page at 100 %, without scaling to fit.",
        )
        st.download_button(
            "Print it (PDF)",
            partial(page, patch, width),
            "patch.pdf",
            "application/pdf",
            key="patch_pdf",
            on_click="ignore",
        )
        if attacked.universal_success is not None and attacked.universal_success[1]:
            st.caption(
                f"One patch for all images. It reaches its target on {count_of(*attacked.universal_success)} images that it was trained on."
            )
        keep_button(outcome)


def keep_button(outcome: Outcome) -> None:
    """The button that keeps an outcome's patch for other images."""
    patch = extract_patch(outcome)
    stored = stored_patch()
    same = patch is not None and stored is not None and patch.patch.tobytes() == stored.patch.tobytes()

    def take() -> None:
        st.session_state.kept_patch = patch
        st.session_state.pop("stick_size", None)

    st.button(
        "Kept" if same else "Keep it for other images",
        icon=":material/check:" if same else ":material/push_pin:",
        key="keep_patch",
        disabled=patch is None or same,
        on_click=take,
    )


def patch_on_image(example: Example) -> None:
    """The kept patch on the image at hand: where, how large and how turned it lies, and what the classifier says."""
    patch = stored_patch()
    if patch is None:
        return
    side, width = patch.patch.shape[0], min(example.clean.shape[:2])
    with st.container(border=True, key="sticking"):
        st.markdown("**The kept patch, on this image**")
        st.caption(
            f"Made to be seen as {theme.plain(a(patch.target))} by {patch.classifier}. "
            "Choose any other image in the sidebar, or bring your own."
        )
        spot: tuple[float, float] = st.session_state.setdefault("stick_spot", (0.1, 0.1))

        def put(down: float, across: float) -> None:
            st.session_state.stick_spot = (down, across)

        choose, look = st.columns(2)
        with choose:
            size = st.slider(
                "Size (% of the side)", 5, 100, min(100, max(5, round(100 * side / width))), key="stick_size"
            )
            angle = st.slider("Turn (°)", -180, 180, 0, 5, key="stick_angle")
            pick_location(
                example.clean, size / 100, spot, key=f"stick_place_{result_keys.example(session.recipe())}", put=put
            )
        own = abs(size - 100 * side / width) < 0.5  # its own size, copied pixel by pixel
        try:
            stuck = apply_patch(
                patch, example, row=spot[0], column=spot[1], angle=angle, size=None if own else size / 100
            )
        except InvalidInput as error:
            look.error(theme.plain(str(error)))
            return
        with look:
            words = prediction(stuck.prediction, example.classifier.classes, example.known_label)
            row(
                [Tile(stuck.image, "with the patch", words, "adversarial", file_name="patched.png")],
                key="stuck",
                label="The image with the patch",
            )
            aim = theme.plain(a(patch.target))
            seen = f"Seen as {aim}, as the patch wants" if stuck.reached else f"Not seen as {aim}"
            st.markdown(f"{seen}; it covers {per_cent(stuck.covered)} of the image.")
        if st.button("Let it go", icon=":material/close:", key="drop_patch", help="Forget the kept patch."):
            del st.session_state.kept_patch
            st.rerun()
