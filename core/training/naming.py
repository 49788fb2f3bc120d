"""Names for what a new training makes: free ones, by which the lists of classifiers, defenses and masks find it."""

from __future__ import annotations

import re

from core.defenses.base import REGISTRY
from core.defenses.learned import LearnedDefense
from core.inputs import InvalidInput, quoted
from core.models import artifacts
from core.training import runs
from core.training.plans import TrainingPlan

MAX_TITLE = 80

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


def rename(plan: TrainingPlan, name: str) -> TrainingPlan:
    """The plan under another name, with a title that tells it from what it was derived from.

    Raises:
        InvalidInput: it is no name for what the plan makes, or it is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("A name has 1 to 80 letters, digits, '_', '-' and '.', and begins with a letter or a digit.")
    title = plan.title
    if name != plan.name:
        title = f"{plan.title} ({name})" if len(plan.title) + len(name) + 3 <= MAX_TITLE else name
    renamed = TrainingPlan(**{**plan.model_dump(), "name": name, "title": title})
    if plan.kind == "denoiser":
        _check_defense(plan, name)
    if runs.ships(renamed):
        raise InvalidInput(f"{quoted(renamed.artifact)} ships with Mirage; choose another name.")
    if (runs.runs_folder() / name).exists():
        raise InvalidInput(
            f"There is a training called {quoted(name)} already; choose another name, or resume that one."
        )
    if any(artifact.name == renamed.artifact for artifact in artifacts.list_artifacts(plan.kind)):
        words = plan.kind.replace("_", " ")
        raise InvalidInput(f"There is a {words} called {quoted(renamed.artifact)} already; choose another name.")
    return renamed


def free_name(plan: TrainingPlan) -> str:
    """The plan's own name where it may be taken, else the first of NAME_2, NAME_3 ... that may; '' where there is none."""
    names = (plan.name, *(f"{plan.name[:75]}_{number}" for number in range(2, runs.MAX_RUNS + 3)))
    return next((name for name in names if _is_free(plan, name)), "")


def _is_free(plan: TrainingPlan, name: str) -> bool:
    try:
        rename(plan, name)
    except InvalidInput:
        return False
    return True


def defense_of(name: str) -> str:
    """The learned defense in whose list of weights a denoiser of that name stands; '' for none."""
    learned = (d.name for d in REGISTRY.classes.values() if issubclass(d, LearnedDefense))
    return max((d for d in learned if name.startswith(f"{d}_") and len(name) > len(d) + 1), key=len, default="")


def _check_defense(plan: TrainingPlan, name: str) -> None:
    plan_defense, name_defense = defense_of(plan.name), defense_of(name)
    if name_defense and plan_defense in (name_defense, ""):
        return
    learned = sorted(d.name for d in REGISTRY.classes.values() if issubclass(d, LearnedDefense))
    begins = " or ".join(f"{defense}_" for defense in ([plan_defense] if plan_defense else learned))
    raise InvalidInput(
        f"The name of this denoiser begins with {begins}, because its defense finds its weights by that."
    )
