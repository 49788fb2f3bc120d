"""Axes of budgets in the unit in which a domain writes them: '/255', or '' for a plain number."""

from __future__ import annotations


def budget_scale(unit: str) -> float:
    """By which a budget is multiplied to be written in that unit."""
    return 255.0 if unit == "/255" else 1.0


def budget_title(kind: str, unit: str) -> str:
    """The title of an axis of budgets: of which kind, in which unit."""
    return f"ε, {kind} (n/255)" if unit == "/255" else f"ε, {kind}"


def eps_title(unit: str) -> str:
    """The title of an axis of eps in that unit."""
    return f"eps (n{unit})" if unit else "eps"
