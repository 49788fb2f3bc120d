"""How long work will take, before it is begun: rough, from what it asks of a classifier and of the defenses in front of it.

The numbers are seconds of two cores of a laptop. They say whether to wait, to ask or to refuse, and no more than that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from core import domains
from core.attacks import Attack
from core.attacks.cw import CW
from core.attacks.deepfool import DeepFool
from core.attacks.jsma import JSMA
from core.attacks.worst_case import WorstCase
from core.certify import two_layer
from core.defenses import Bilateral, Chain, Defense, LearnedDefense
from core.models.classifier import Classifier
from core.recipe.recipe import Attacker, Recipe, with_budget
from core.systems import System

ASK = 45.0  # seconds; longer work does not begin without a question
MOST = 3600.0  # seconds; longer work is refused, unless MIRAGE_MOST_SECONDS says otherwise
DRAWS = 8  # of a randomized defense's own randomness, at each look (`Guarded`)
GALLERY = 16  # images that a universal attack is trained on here

_GRADIENT = {
    "mnist": 0.006,
    "cifar10": 0.015,
    "photos": 0.015,
    "imagenette": 0.02,
    "imagenet": 0.15,
}  # one look for a gradient: PGD on one image and two idle cores, the slower networks of ImageNet
_FORWARD = 1 / 3  # a look for logits alone
_PIXEL = 1e-7  # a filter's work for one pixel
_WINDOW = 6e-8  # a bilateral filter's, for one pixel and one place of its window
_NETWORK = 1e-6  # a small denoiser's, for one pixel
_BACKWARD = 3.0  # a gradient through a filter, as a share of the filter
_TWO_LAYER = 0.02  # a two-layer network's share of the seconds of its domain's other classifiers
_GPU = 0.05  # a share of the processor's seconds


def most() -> float:
    """Seconds of work that one recipe may ask for."""
    try:
        return float(os.environ.get("MIRAGE_MOST_SECONDS", MOST))
    except ValueError:
        return MOST


@dataclass(frozen=True)
class Looks:
    """How often an attack looks at an image, for a gradient and for logits alone."""

    gradients: float
    queries: float = 0.0


def looks(attack: Attack, classes: int) -> Looks:
    """How often an attack looks at one image at most; an attack that usually ends early, what is usual."""
    values = attack.values()

    def value(name: str, usual: float = 1.0) -> float:
        setting = values.get(name)
        return float(setting) if isinstance(setting, int | float) else usual

    steps = value("steps")
    if isinstance(attack, WorstCase):
        return Looks(steps * (1 + min(9, classes - 1)), value("queries"))
    if isinstance(attack, CW):
        searches, iterations, *_ = attack.plan()
        return Looks(float(searches * iterations))
    if isinstance(attack, DeepFool):
        return Looks(min(steps, 10) * min(attack.candidates, classes))
    if isinstance(attack, JSMA):
        return Looks(300)
    if attack.threat != "white_box":
        return Looks(0, value("queries") * value("trials"))
    many = value("restarts") * value("classes") * value("binary_search_steps")
    return Looks(steps * many * (GALLERY if attack.universal else 1))


def query_seconds(domain: str, count: int, classifier: Classifier | None = None) -> float:
    """The logits of `count` images of that domain, by that classifier; by the domain's usual ones without it."""
    share = _TWO_LAYER if classifier is not None and two_layer.why_not(classifier) is None else 1.0
    return share * count * _GRADIENT.get(domain, max(_GRADIENT.values())) * _FORWARD


def defense_seconds(defense: Defense, size: int) -> float:
    """One pass of a defense over one image of size×size pixels."""
    if isinstance(defense, Chain):
        return sum(defense_seconds(member, size) for member in defense.members)
    if isinstance(defense, Bilateral):
        return _WINDOW * defense.window**2 * size**2
    return (_NETWORK if isinstance(defense, LearnedDefense) else _PIXEL) * size**2


def attack_seconds(recipe: Recipe, system: System | None = None) -> float:
    """The recipe's attack, by an attacker who knows `system` where there is one."""
    domain = domains.get(recipe.domain)
    asked = looks(recipe.build_attack(), len(domain.classes))
    gradient = _GRADIENT.get(recipe.domain, _GRADIENT["photos"])
    total = 0.0
    for defense in [None] if system is None else [member.defense for member in system.members]:
        own = 0.0 if defense is None else defense_seconds(defense, domain.size)
        draws = DRAWS if defense is not None and defense.is_randomized() else 1
        backward, forward = gradient + (1 + _BACKWARD) * own, gradient * _FORWARD + own
        total += draws * ((asked.gradients + 1) * backward + asked.queries * forward)
    return total


def columns_seconds(recipe: Recipe, attacker: Attacker) -> float:
    """Every defense of the recipe on the clean and on the attacked image."""
    size, total = domains.get(recipe.domain).size, 0.0
    for system in recipe.build_systems():
        for defense in system.defenses():
            total += 4 * defense_seconds(defense, size) * (DRAWS if defense.is_randomized() else 1)
        if attacker in ("adaptive", "both"):
            total += attack_seconds(recipe, system)
    return total


def comparison_seconds(recipe: Recipe) -> float:
    """Every attack of the recipe's comparison."""
    system = recipe.build_known_system()
    attacks = (recipe.replace(attack=with_budget(recipe.comparison, name)) for name in recipe.comparison.attacks)
    return sum(attack_seconds(variant, system) for variant in attacks)


def on_device(seconds: float, device: str) -> float:
    """The same work on that device."""
    return seconds if device == "cpu" else seconds * _GPU
