"""The papers' tables by name, one file or more per paper."""

from __future__ import annotations

from core.reproduce import (
    certified_flow,
    dornadula2018,
    dornadula2018_classes,
    dornadula2018_training,
    hao2019,
    naseer2019,
    nguyen2018,
    sivamani2019,
)
from core.reproduce.base import Cell, MeasuredTable, PaperTable, Row, Settings

TABLES: dict[str, PaperTable] = {
    table.name: table
    for paper in (
        *(naseer2019, nguyen2018, certified_flow, hao2019, sivamani2019),
        *(dornadula2018, dornadula2018_training, dornadula2018_classes),
    )
    for table in paper.TABLES
}

__all__ = ["TABLES", "Cell", "MeasuredTable", "PaperTable", "Row", "Settings"]
