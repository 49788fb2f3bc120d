"""One way through the house: Recipe → picture → classifier → attack → defenses → Outcome."""

from core.domains.chosen import Picture
from core.recipe.columns import Method
from core.recipe.contest import Entry, Matrix, Results, contend, flags_of, transfer
from core.recipe.explaining import Explained, explain
from core.recipe.outcome import Attacked, Column, Guard, Norms, Outcome, Trace, Verdict
from core.recipe.placing import PlaceMap, place_map
from core.recipe.recipe import Attacker, Contest, Recipe
from core.recipe.running import Progress, Scene, assemble, defend, fool, prepare, run, sweep
from core.recipe.sticking import Sticker, Stuck, stick_on, sticker
from core.recipe.view import View

__all__ = [
    "Attacked",
    "Attacker",
    "Column",
    "Contest",
    "Entry",
    "Explained",
    "Guard",
    "Matrix",
    "Method",
    "Norms",
    "Outcome",
    "Picture",
    "PlaceMap",
    "Progress",
    "Recipe",
    "Results",
    "Scene",
    "Sticker",
    "Stuck",
    "Trace",
    "Verdict",
    "View",
    "assemble",
    "contend",
    "defend",
    "explain",
    "flags_of",
    "fool",
    "place_map",
    "prepare",
    "run",
    "stick_on",
    "sticker",
    "sweep",
    "transfer",
]
