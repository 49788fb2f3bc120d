"""Background work that computes results of the recipe."""

from __future__ import annotations

from functools import partial

from app.runtime import background
from app.state import model_cache, result_keys, uploads
from app.state.result_keys import device_name
from core import domains
from core.analysis.comparison import compare_attacks, transfer
from core.analysis.patch_location import location_map
from core.recipe import AttackOutcome, Example, Recipe, cost, craft, evaluate_defenses, load_example
from core.recipe.recipe import Attacker


def start_attack(recipe: Recipe, example: Example) -> None:
    """Begin the attack; whatever else this user had running is stopped."""
    title = recipe.build_attack().title
    key = result_keys.attack(recipe)
    background.start(
        key,
        title,
        lambda on_progress: craft(recipe, example, on_progress=on_progress),
        seconds=cost.attack_seconds(recipe),
    )


def start_defenses(recipe: Recipe, example: Example, attack_outcome: AttackOutcome, attacker: Attacker) -> None:
    """Begin to put the defenses beside each other."""
    for_attacker = recipe.replace(attacker=attacker)
    seconds = cost.columns_seconds(recipe, attacker)
    key = result_keys.defenses(recipe, attacker)
    background.start(
        key,
        "Defenses",
        lambda on_progress: evaluate_defenses(for_attacker, example, attack_outcome, on_progress=on_progress),
        seconds=seconds,
    )


def start_comparison(recipe: Recipe, example: Example) -> None:
    """Begin to put the comparison's attacks beside each other."""
    seconds = cost.comparison_seconds(recipe)
    key = result_keys.comparison(recipe)
    background.start(
        key, "Attacks", lambda on_progress: compare_attacks(recipe, example, on_progress=on_progress), seconds=seconds
    )


def start_transfer(recipe: Recipe, example: Example, names: tuple[str, ...]) -> None:
    """Begin to try the attack on each of those classifiers of the recipe's domain."""
    cache, images, device, root = model_cache.model_cache(), uploads.uploads(), device_name(), str(domains.data_root())

    def load(name: str) -> Example:
        loaded = cache.load((recipe.domain, name, device, root))
        return load_example(recipe.replace(classifier=name, image=example.image_ref), classifier=loaded, uploads=images)

    examples = {name: partial(load, name) for name in names}
    seconds = len(names) * cost.attack_seconds(recipe)
    background.start(
        result_keys.transfer(recipe),
        "Transfer",
        lambda on_progress: transfer(recipe, examples, on_progress=on_progress),
        seconds=seconds,
    )


def start_location_map(recipe: Recipe, example: Example, target: int) -> None:
    """Begin to try the patch over a grid of locations."""
    seconds = 25 * cost.attack_seconds(recipe)
    work = partial(location_map, recipe, example, target)
    background.start(
        result_keys.locations(recipe),
        "Trying locations",
        lambda on_progress: work(on_progress=on_progress),
        seconds=seconds,
    )


def start_dataset_download(domain: str) -> None:
    """Begin to download a domain's data set."""
    data_set = domains.get(domain)
    key = result_keys.data_set(domain)
    background.invalidate(key)
    background.start_download(key, f"Downloading {data_set.dataset}", data_set.fetch)
