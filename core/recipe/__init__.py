"""One way through the house: Recipe → image → classifier → attack → defenses → Outcome."""

from core.domains.image_ref import ImageRef
from core.progress import Progress
from core.recipe.columns import Method
from core.recipe.example import Example, load_example
from core.recipe.outcome import AttackOutcome, DefendedPrediction, DefenseOutcome, Norms, Outcome, Prediction, Trace
from core.recipe.recipe import Attacker, ComparisonSpec, Recipe
from core.recipe.running import craft, evaluate_defenses, make_outcome, run, sweep
from core.recipe.view import View

__all__ = [
    "AttackOutcome",
    "Attacker",
    "ComparisonSpec",
    "DefendedPrediction",
    "DefenseOutcome",
    "Example",
    "ImageRef",
    "Method",
    "Norms",
    "Outcome",
    "Prediction",
    "Progress",
    "Recipe",
    "Trace",
    "View",
    "craft",
    "evaluate_defenses",
    "load_example",
    "make_outcome",
    "run",
    "sweep",
]
