"""One way through the house: Recipe → image → classifier → attack → defenses → Outcome."""

from core.domains.image_ref import ImageRef
from core.progress import Progress
from core.recipe.columns import Method
from core.recipe.comparison import Comparison, ComparisonRow, TransferMatrix, compare_attacks, diagnose, transfer
from core.recipe.example import Example, load_example
from core.recipe.explaining import ClassMap, explain
from core.recipe.outcome import AttackOutcome, DefendedPrediction, DefenseOutcome, Norms, Outcome, Prediction, Trace
from core.recipe.placing import LocationMap, place_map
from core.recipe.recipe import Attacker, ComparisonSpec, Recipe
from core.recipe.running import craft, evaluate_defenses, make_outcome, run, sweep
from core.recipe.sticking import PatchedImage, PrintedPatch, stick_on, sticker
from core.recipe.view import View

__all__ = [
    "AttackOutcome",
    "Attacker",
    "ClassMap",
    "Comparison",
    "ComparisonRow",
    "ComparisonSpec",
    "DefendedPrediction",
    "DefenseOutcome",
    "Example",
    "ImageRef",
    "LocationMap",
    "Method",
    "Norms",
    "Outcome",
    "PatchedImage",
    "Prediction",
    "PrintedPatch",
    "Progress",
    "Recipe",
    "Trace",
    "TransferMatrix",
    "View",
    "compare_attacks",
    "craft",
    "diagnose",
    "evaluate_defenses",
    "explain",
    "load_example",
    "make_outcome",
    "place_map",
    "run",
    "stick_on",
    "sticker",
    "sweep",
    "transfer",
]
