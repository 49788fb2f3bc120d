"""What judges an image: classifiers, each behind its defenses, and their vote."""

from core.systems.ensemble import Ensemble
from core.systems.guarded import Backward, Guarded
from core.systems.system import Member, System

__all__ = ["Backward", "Ensemble", "Guarded", "Member", "System"]
