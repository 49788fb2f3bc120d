"""Images that a user brings: uploaded, pasted or photographed."""

from __future__ import annotations

import base64
import binascii

import streamlit as st

from app.runtime.streamlit_adapter import file_numbers, take_files
from app.state import session, uploads
from app.theme import plain
from core import images
from core.inputs import InvalidInput
from core.recipe import ImageRef

_PASTE = st.components.v2.component(
    "mirage_paste",
    html="""<div id="p" tabindex="0" role="button">Click here, then paste an image (Ctrl+V)</div>""",
    css="""#p{font:.9rem var(--st-font);color:var(--st-text-color);border:1px dashed var(--st-border-color);border-radius:6px;padding:10px;
text-align:center;cursor:pointer}#p:focus{outline:3px solid var(--st-primary-color);outline-offset:2px}""",
    js="""
export default function ({ parentElement, setTriggerValue }) {
  const p = parentElement.querySelector('#p');
  p.onpaste = (event) => {
    const item = [...event.clipboardData.items].find((i) => i.type.startsWith('image/'));
    if (!item) { p.textContent = 'There is no image on the clipboard.'; return; }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue('image', reader.result);
    reader.readAsDataURL(item.getAsFile());
  };
}
""",
)


def upload_picker() -> None:
    """Upload, paste or photograph; every file that cannot be used gets one sentence, the last good one is taken."""

    def uploaded() -> None:
        # A browser sends many files in several steps, and each step brings those of the steps before.
        listed = st.session_state["uploaded"]
        previous, numbers = st.session_state.get("uploads_refused", {}), file_numbers(listed)
        refused = {number: sentence for number, sentence in previous.items() if number in numbers}
        for file in take_files(listed):
            if error := _store_upload(file.data, file.name):
                refused[file.number] = f"{plain(file.name, 80)}: {plain(error)}"
        st.session_state.uploads_refused = refused

    st.file_uploader(
        "Upload images",
        accept_multiple_files=True,
        key="uploaded",
        on_change=uploaded,
        help=f"{images.KINDS}, up to {images.MAX_BYTES // 10**6} MB each.",
    )
    for sentence in st.session_state.get("uploads_refused", {}).values():
        st.error(sentence)

    def pasted() -> None:
        word = st.session_state["paste"]["image"]
        if word:
            _store_or_report(_from_uri(word), "pasted.png")

    _PASTE(key="paste", on_image_change=pasted)
    if st.toggle("Use the camera", key="camera_on"):

        def photographed() -> None:
            for file in take_files([st.session_state["camera"]]):
                _store_or_report(file.data, "photograph.png")

        st.camera_input("Photograph", key="camera", label_visibility="collapsed", on_change=photographed)


def _from_uri(word: str) -> bytes:
    try:
        return base64.b64decode(word.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _store_or_report(data: bytes, name: str) -> None:
    error = _store_upload(data, name)
    if error:
        session.report_error(error)


def _store_upload(data: bytes, name: str) -> str:
    """Make the file the recipe's image; the sentence that says why not, where it cannot be."""
    try:
        digest = uploads.add(data)
    except InvalidInput as error:
        return str(error)
    session.update_recipe(
        image=ImageRef(kind="upload", name=name[-80:], digest=digest, fit=session.recipe().image.fit), target=""
    )
    return ""
