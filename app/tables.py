"""Tables that can be copied as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

Row = dict[str, object]
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "✓": r"\checkmark{}",
    "✗": r"$\times$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
}


def table(rows: Sequence[Row], *, key: str, name: str) -> None:
    """The rows as a table, with its CSV and its LaTeX to save."""
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key=f"{key}_table")
    with st.container(horizontal=True, key=f"{key}_saves"):
        st.download_button("CSV", csv(rows), f"{name}.csv", "text/csv", key=f"{key}_csv", on_click="ignore")
        st.download_button("LaTeX", latex(rows), f"{name}.tex", "text/x-tex", key=f"{key}_tex", on_click="ignore")


def csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header."""
    return str(pd.DataFrame(rows).to_csv(index=False))


def latex(rows: Sequence[Row]) -> str:
    """The rows as a booktabs table; numbers right-aligned, every special character escaped."""
    heads = list(rows[0]) if rows else []
    right = [all(isinstance(r.get(h), int | float) for r in rows) for h in heads]
    lines = [
        rf"\begin{{tabular}}{{{''.join('r' if flag else 'l' for flag in right)}}}",
        r"\toprule",
        " & ".join(escaped(h) for h in heads) + r" \\",
        r"\midrule",
        *(" & ".join(escaped(str(r.get(h, ""))) for h in heads) + r" \\" for r in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """The text with every character that LaTeX would take for a command escaped."""
    return "".join(_LATEX.get(character, character) for character in text)
