"""Attacks and defenses over many pictures, and the published tables they stand beside."""

from core.evaluate.lgs import EXPERIMENTS
from core.evaluate.measures import Findings, Place
from core.evaluate.papers import Reproduction
from core.evaluate.plan import BARE, CLEAN, Plan
from core.evaluate.reproductions import REPRODUCTIONS
from core.evaluate.running import Advance, evaluate
from core.evaluate.share import Share, wilson
from core.evaluate.store import Run
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = [
    "BARE",
    "CLEAN",
    "EXPERIMENTS",
    "REPRODUCTIONS",
    "Advance",
    "Findings",
    "Place",
    "Plan",
    "Reproduction",
    "Row",
    "Run",
    "Share",
    "csv",
    "evaluate",
    "latex",
    "markdown",
    "wilson",
]
