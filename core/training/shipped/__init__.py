"""The plans of what ships, and of what papers' tables need beside that, as JSON has them."""

from __future__ import annotations

from typing import Any

from core import files
from core.inputs import InvalidInput, quoted
from core.training.plans import TrainingPlan
from core.training.shipped.classifiers import PLAIN
from core.training.shipped.denoisers import DENOISERS
from core.training.shipped.masks import MASKS
from core.training.shipped.robust import ROBUST

PLANS: dict[str, dict[str, Any]] = {plan["name"]: plan for plan in (*PLAIN, *ROBUST, *DENOISERS, *MASKS)}


def find_plan(name: str) -> TrainingPlan:
    """The plan of that name, or of that JSON file.

    Raises:
        InvalidInput: there is none, or the file says something else.
    """
    if name in PLANS:
        return TrainingPlan(**PLANS[name])
    if name.endswith(".json"):
        return TrainingPlan.from_json(files.read_bytes(name, files.MAX_TEXT))
    raise InvalidInput(
        f"There is nothing called {quoted(name)} to train; name a PLAN.json, or one of {', '.join(PLANS)}."
    )
