"""One way through the house: Recipe → picture → classifier → attack → defenses → Outcome."""

from core.domains.chosen import Picture
from core.recipe.outcome import Attacked, Column, Guard, Norms, Outcome, Trace, Verdict
from core.recipe.recipe import Attacker, Method, Recipe
from core.recipe.running import Progress, Scene, assemble, defend, fool, prepare, run, sweep

__all__ = [
    "Attacked",
    "Attacker",
    "Column",
    "Guard",
    "Method",
    "Norms",
    "Outcome",
    "Picture",
    "Progress",
    "Recipe",
    "Scene",
    "Trace",
    "Verdict",
    "assemble",
    "defend",
    "fool",
    "prepare",
    "run",
    "sweep",
]
