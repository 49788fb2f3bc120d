"""Attacks and defenses over many images."""

from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion, wilson
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = [
    "NO_ATTACK",
    "NO_DEFENSE",
    "CellKey",
    "Metrics",
    "Plan",
    "Proportion",
    "Row",
    "RunStore",
    "csv",
    "evaluate",
    "latex",
    "markdown",
    "wilson",
]
