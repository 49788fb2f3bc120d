"""The files of a table that a command made."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch

from core import files
from core.evaluate.tables import Row, csv, latex


def made_by(words: Sequence[str]) -> str:
    """The command that makes the same table again, and the versions that made this one; a line of Markdown."""
    command = files.display_path(shlex.join(words))
    return f"Made by `python -m core {command}` with torch {torch.__version__}, Python {platform.python_version()}.\n"


def save_tables(folder: Path, name: str, text: str, rows: Sequence[Row]) -> None:
    """Write the text as Markdown, and the rows as CSV and LaTeX."""
    for ending, content in (("md", text), ("csv", csv(rows)), ("tex", latex(rows))):
        (folder / f"{name}.{ending}").write_text(content, encoding="utf-8")
