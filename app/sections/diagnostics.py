"""Warnings that teach, as the core raises them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.theme import plain
from core.diagnostics import Diagnostic


def diagnostics(flags: Sequence[Diagnostic], *, key: str) -> None:
    """Each flag as a paragraph: raised because, what it means, what to do. Nothing where there is none."""
    for flag in flags:
        with st.expander(flag.title, icon=":material/flag:", expanded=len(flags) == 1, key=f"{key}_{flag.name}"):
            st.markdown(
                f"**Raised because.** {plain(flag.condition)}\n\n**What it means.** {plain(flag.means)}\n\n"
                f"**What to do.** {plain(flag.do)}"
            )
