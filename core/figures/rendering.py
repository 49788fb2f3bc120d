"""Figures as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

from matplotlib import rc_context
from matplotlib.figure import Figure

Draw = Callable[[], Figure]  # draws a figure anew
FileType = Literal["png", "svg", "pdf"]
FILE_TYPES: tuple[FileType, ...] = ("png", "svg", "pdf")


def render(draw: Draw, file_type: FileType) -> bytes:
    """Draw a figure as the bytes of a PNG, SVG or PDF file; the same figure gives the same bytes."""
    file = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_type, {})
    with rc_context({"svg.hashsalt": "mirage", "pdf.fonttype": 42}):
        draw().savefig(file, format=file_type, dpi=200, metadata=undated, bbox_inches="tight")
    return file.getvalue()
