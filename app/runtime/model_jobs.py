"""Background work that attacks several classifiers on many images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from app.runtime import background
from app.state import model_cache, result_keys
from app.state.result_keys import device_name
from core import domains
from core.attacks import Attack
from core.evaluate.eps_curves import accuracy_by_eps, by_eps
from core.evaluate.eps_grid import at_each_eps
from core.evaluate.transfer import transfer_accuracy
from core.progress import OnProgress
from core.recipe import Recipe, cost
from core.recipe.recipe import build_attack
from core.systems.system import Loader

R = TypeVar("R")

BATCHED = 0.4  # of the time that an image takes alone, what it takes in a batch
BATCH = {28: 50, 32: 50}  # images attacked together, by their size; of larger ones fewer, so that Stop comes soon


def start_transfer_accuracy(recipe: Recipe, names: Sequence[str], count: int, split: str) -> None:
    """Begin to attack each of those classifiers on many images and to let all of them judge.

    Raises:
        InvalidInput: the attack does not take its parameters.
    """
    attack = recipe.build_attack()
    work = _on_many(recipe, names, count, split, partial(transfer_accuracy, attack))
    key = result_keys.transfer_accuracy(recipe, names, count, split)
    background.start(key, f"{attack.title} on {len(names)} classifiers", work, seconds=_seconds(recipe, names, count))


def attacks_at(recipe: Recipe, eps: Sequence[str]) -> list[Attack]:
    """The recipe's attack at each eps, written as a person writes them: '8/255', '0.1'.

    Raises:
        InvalidInput: the attack does not take one of them, or they make no curve.
    """
    return by_eps([build_attack(recipe.domain, method) for method in at_each_eps([recipe.attack], eps, recipe.domain)])


def start_eps_curves(recipe: Recipe, names: Sequence[str], eps: Sequence[str], count: int, split: str) -> None:
    """Begin to attack each of those classifiers at several eps, which `attacks_at` takes.

    Raises:
        InvalidInput: as `attacks_at`.
    """
    attacks = attacks_at(recipe, eps)
    work = _on_many(recipe, names, count, split, partial(accuracy_by_eps, attacks))
    key = result_keys.eps_curves(recipe, names, eps, count, split)
    seconds = len(attacks) * _seconds(recipe, names, count)
    background.start(key, f"{attacks[0].title} at {len(attacks)} eps", work, seconds=seconds)


def _on_many(
    recipe: Recipe, names: Sequence[str], count: int, split: str, compute: Callable[..., R]
) -> Callable[[OnProgress], R]:
    """Work for a background thread: `compute` of those classifiers and so many images."""
    load, target, batch = _loader(recipe), _target(recipe), _batch(recipe)

    def work(on_progress: OnProgress) -> R:
        images, labels = domains.get(recipe.domain).sample(count, split=split, seed=recipe.seed)
        networks = {name: load(name) for name in names}
        return compute(networks, images, labels, target=target, seed=recipe.seed, batch=batch, on_progress=on_progress)

    return work


def _loader(recipe: Recipe) -> Loader:
    """A function that gives the domain's classifiers by name, on any thread."""
    cache, device, root = model_cache.model_cache(), device_name(), str(domains.data_root())
    return lambda name: cache.load((recipe.domain, name, device, root))


def _target(recipe: Recipe) -> int | None:
    return domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None


def _batch(recipe: Recipe) -> int:
    return BATCH.get(domains.get(recipe.domain).size, 16)


def _seconds(recipe: Recipe, names: Sequence[str], count: int) -> float:
    """About how long an attack takes on that many images and each of those classifiers, on a processor."""
    return BATCHED * count * len(names) * cost.attack_seconds(recipe)
