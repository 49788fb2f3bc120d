"""Rows of a table as CSV, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

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
    "ε": r"$\varepsilon$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
}


def csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header."""
    from pandas import DataFrame  # here: pandas takes half a second to import

    return str(DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n"))


# pandas writes neither of the following as we need it. Its Markdown, by tabulate, leaves a bar in a cell as the end of the cell. Its
# LaTeX takes 160 times as long, by a template, at every change of a screen, and leaves ✓, × and ∞, which pdfTeX does not set.
def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; numbers right-aligned."""
    heads = list(rows[0]) if rows else []
    lines = [heads, ["---:" if right else "---" for right in _numeric(rows, heads)]]
    lines += [[str(row.get(head, "")).replace("|", r"\|") for head in heads] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(rows: Sequence[Row]) -> str:
    """The rows as a booktabs table; numbers right-aligned, every special character escaped."""
    heads = list(rows[0]) if rows else []
    lines = [
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in _numeric(rows, heads))}}}",
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


def _numeric(rows: Sequence[Row], heads: Sequence[str]) -> list[bool]:
    return [all(isinstance(row.get(head), int | float) for row in rows) for head in heads]
