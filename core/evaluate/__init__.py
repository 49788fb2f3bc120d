"""Attacks and defenses over many pictures, and the published tables they stand beside."""

from core.evaluate.papers import NAMES, REPRODUCTIONS, Reproduction
from core.evaluate.share import Share, wilson
from core.evaluate.tables import Row, csv, latex, markdown

__all__ = ["NAMES", "REPRODUCTIONS", "Reproduction", "Row", "Share", "csv", "latex", "markdown", "wilson"]
