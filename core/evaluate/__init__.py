"""Attacks and defenses over many pictures."""

from core.evaluate.measures import Findings, Place
from core.evaluate.plan import BARE, CLEAN, Plan
from core.evaluate.running import evaluate
from core.evaluate.share import Share, wilson
from core.evaluate.store import Run
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = [
    "BARE",
    "CLEAN",
    "Findings",
    "Place",
    "Plan",
    "Row",
    "Run",
    "Share",
    "csv",
    "evaluate",
    "latex",
    "markdown",
    "wilson",
]
