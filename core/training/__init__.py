"""Training of what ships: `python -m core train NAME`."""

from core.training.loop import train
from core.training.plans import PLANS

NAMES = tuple(PLANS)

__all__ = ["NAMES", "train"]
