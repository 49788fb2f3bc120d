"""Tables as text."""

from __future__ import annotations

import csv as reader
import io

from core.evaluate import Row, csv, latex, markdown

ROWS: list[Row] = [{"Defense": "LGS_2 & {co}", "Right %": 70.9}, {"Defense": "a|b", "Right %": 3}]


def test_markdown_aligns_numbers_and_escapes_bars() -> None:
    assert markdown(ROWS) == "| Defense | Right % |\n| --- | ---: |\n| LGS_2 & {co} | 70.9 |\n| a\\|b | 3 |\n"


def test_csv_reads_back() -> None:
    rows = list(reader.DictReader(io.StringIO(csv(ROWS))))
    assert rows == [{"Defense": "LGS_2 & {co}", "Right %": "70.9"}, {"Defense": "a|b", "Right %": "3"}]


def test_latex_escapes() -> None:
    assert r"LGS\_2 \& \{co\} & 70.9 \\" in latex(ROWS)
    assert r"$\varepsilon$, L$\infty$ \\" in latex([{"ε, L∞": 1}])
