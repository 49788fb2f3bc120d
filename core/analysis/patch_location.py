"""Where a patch works: the same patch budget tried over a grid of places."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.attacks import Criterion, LaVAN
from core.attacks.lavan import Place
from core.images import quantise
from core.inputs import InvalidInput
from core.progress import OnProgress, Progress
from core.random_streams import RandomStreams, draw_seed
from core.recipe.example import Example, check_target
from core.recipe.recipe import Recipe


@dataclass(frozen=True)
class LocationMap:
    """What LaVAN reached at each place of a grid, from the top left corner to the bottom right one.

    `reached[i][j]` and `confidence[i][j]`: whether the 8-bit image is the target's, and how sure the classifier is of it.
    `rows` and `columns` are the places as the attack's own parameters, 0 to 1.
    """

    target: int
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    reached: tuple[tuple[bool, ...], ...]
    confidence: tuple[tuple[float, ...], ...]


def location_map(
    recipe: Recipe, example: Example, target: int, grid: int = 5, *, on_progress: OnProgress | None = None
) -> LocationMap:
    """The recipe's LaVAN toward `target`, at grid×grid places at once.

    Raises:
        InvalidInput: the recipe's attack is another one, the target is the image's own class, or the grid is not 2 to 12.
    """
    attack = recipe.build_attack()
    if not isinstance(attack, LaVAN):
        raise InvalidInput(f"A map of places is for LaVAN; this recipe has {attack.title}.")
    check_target(example, target)
    if not 2 <= grid <= 12:
        raise InvalidInput(f"The grid is {grid}; choose 2 to 12.")
    classifier = example.classifier
    size = classifier.size
    side, count = attack.side(size, size), grid * grid
    shares = torch.linspace(0, 1, grid)
    lines = (shares * (size - side)).round().long()
    place = Place(lines.repeat_interleave(grid), lines.repeat(grid), side)
    batch = example.images.expand(count, -1, -1, -1).to(classifier.device)
    labels = torch.full((count,), example.label, device=classifier.device)
    goal = Criterion(torch.full_like(labels, target))
    generator = torch.Generator().manual_seed(recipe.seed)
    draw_seed(generator)  # as in `Attack.steps`: the patch begins at every place as it does in the attack itself
    streams = RandomStreams.of(batch, generator)
    images = batch
    for step in attack.at(place, classifier, batch, labels, goal, streams):
        images = step.images
        if on_progress is not None and on_progress(Progress("Trying places", step.number, step.total)):
            break
    with torch.no_grad():
        sure = classifier(quantise(images)).softmax(1)
    reached = (sure.argmax(1) == target).view(grid, grid).tolist()
    confidence = sure[:, target].view(grid, grid).tolist()
    places = tuple(float(share) for share in shares)
    return LocationMap(target, places, places, tuple(map(tuple, reached)), tuple(map(tuple, confidence)))
