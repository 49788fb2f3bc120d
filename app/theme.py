"""Parts of the page that the style sheet (assets/styles/mirage.css) knows by their keys."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import streamlit as st


def crisp_key(name: str, pixels: npt.NDArray[np.uint8]) -> str:
    """A container's key whose style draws small images as squares."""
    return f"px_{name}" if max(pixels.shape[:2]) <= 64 else f"mat_{name}"


def verdict(sentence: str) -> None:
    """The largest line of a screen."""
    with st.container(key="verdict"):
        st.title(plain(sentence).replace(" %", "\u00a0%"), anchor=False)  # no line breaks between a number and its %


_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~$&]|:(?=\S)")
_BLOCK = re.compile(r"^(?:[-+=]|\d+(?=[.)](?:\s|$)))")  # what begins a list or underlines a heading
# Links are found in the text that escapes lead to, so that only a character between their parts breaks them.
_LINK = re.compile(
    r"(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=[\w-]+\.)|(?<=mailto:)|(?<=xmpp:)", re.IGNORECASE
)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_WORD_JOINER = "\u2060"


def plain(text: str, most: int = 600) -> str:
    """Text that Markdown leaves alone, in one line: no link, image, color, formula, list or code comes of it.

    What is longer than `most` characters is cut.
    """
    line = _INVISIBLE.sub("\ufffd", " ".join(text.split()))
    line = line if len(line) <= most else line[: most - 1] + "…"
    line = _LINK.sub(_WORD_JOINER, line)
    line = _MARKDOWN.sub(lambda result: "\\" + result.group(), line)
    return _BLOCK.sub(
        lambda result: "\\" + result.group() if not result.group().isdecimal() else result.group() + "\\", line
    )
