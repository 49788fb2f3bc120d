"""Tables that can be copied as CSV, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.evaluate.tables import Row, csv, latex, markdown

__all__ = ["Row", "csv", "latex", "markdown", "save_table", "table"]


def table(rows: Sequence[Row], *, key: str, name: str) -> None:
    """The rows as a table, with its CSV, its LaTeX and its Markdown to save."""
    st.dataframe(_frame(rows), hide_index=True, width="stretch", key=f"{key}_table")
    save_table(rows, key=key, name=name)


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows; a column with numbers and words is words, because Arrow takes one type a column."""
    frame = pd.DataFrame(rows)
    mixed = [head for head in frame if frame[head].map(type).nunique() > 1 and frame[head].dtype == object]
    return frame.astype(dict.fromkeys(mixed, str))


def save_table(rows: Sequence[Row], *, key: str, name: str) -> None:
    """Buttons that save the rows as CSV, LaTeX and Markdown."""
    with st.container(horizontal=True, key=f"{key}_saves"):
        st.download_button("CSV", csv(rows), f"{name}.csv", "text/csv", key=f"{key}_csv", on_click="ignore")
        st.download_button("LaTeX", latex(rows), f"{name}.tex", "text/x-tex", key=f"{key}_tex", on_click="ignore")
        st.download_button(
            "Markdown", markdown(rows), f"{name}.md", "text/markdown", key=f"{key}_md", on_click="ignore"
        )
