"""Parts of the page that the style sheet (assets/styles/mirage.css) knows by their keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st


def crisp_key(name: str, pixels: npt.NDArray[np.uint8]) -> str:
    """A container's key whose style draws small pictures as squares."""
    return f"px_{name}" if max(pixels.shape[:2]) <= 64 else f"mat_{name}"


def verdict(sentence: str) -> None:
    """The largest line of a screen."""
    with st.container(key="verdict"):
        st.title(plain(sentence), anchor=False)


def plain(text: str) -> str:
    """Text that markdown leaves alone."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~$:" else c for c in text)
