"""The papers' tables by name, one file per paper."""

from __future__ import annotations

from core.reproduce import hao2019, naseer2019, nguyen2018, sivamani2019
from core.reproduce.base import Cell, MeasuredTable, PaperTable, Row, Settings

TABLES: dict[str, PaperTable] = {
    table.name: table for table in (*naseer2019.TABLES, *nguyen2018.TABLES, *hao2019.TABLES, *sivamani2019.TABLES)
}

__all__ = ["TABLES", "Cell", "MeasuredTable", "PaperTable", "Row", "Settings"]
