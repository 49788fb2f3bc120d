"""The ground around one recipe's image: its loss surface, and the decision regions of a plane through it and its attacked form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import domains, images
from core.explain.landscape import Grid, Plane, directions, plane, steps_around, surface
from core.progress import OnProgress
from core.recipe.example import Example
from core.recipe.outcome import AttackOutcome
from core.recipe.recipe import Recipe

Pixels = npt.NDArray[np.uint8]
STEPS = 41


def loss_surface(
    recipe: Recipe, example: Example, radius: float, *, on_progress: OnProgress | None = None
) -> Grid | None:
    """The loss up to `radius` (in [0, 1] a value) from the clean image, toward the gradient's sign and random signs.

    None where `on_progress` stopped it.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    uphill, random = directions(example.classifier, example.images, example.label, generator)
    steps = np.linspace(-radius, radius, STEPS, dtype=np.float32)
    return surface(
        example.classifier,
        example.images,
        example.label,
        uphill,
        random,
        steps,
        steps,
        on_progress=on_progress,
    )


@dataclass(frozen=True)
class Regions:
    """The decision regions of a plane, and the three images it goes through: clean, adversarial, and a third one."""

    grid: Grid
    plane: Plane
    third: Pixels
    third_title: str


def decision_regions(
    recipe: Recipe, example: Example, attacked: AttackOutcome, *, on_progress: OnProgress | None = None
) -> Regions | None:
    """The plane through the clean image, the attacked one, and one of the class it was pushed toward.

    Where there is no image of that class, a random change as long as the attack's stands in. None where `on_progress` stopped it.

    Raises:
        InvalidInput: the attack changed nothing.
    """
    adversarial = images.to_tensor(attacked.adversarial)
    third, title = _anchor_image(recipe, example, attacked)
    image_plane = plane(example.images, adversarial, third)
    across = steps_around(tuple(place[0] for place in image_plane.places), STEPS)
    down = steps_around(tuple(place[1] for place in image_plane.places), STEPS)
    grid = surface(
        example.classifier,
        example.images,
        example.label,
        image_plane.first,
        image_plane.second,
        across,
        down,
        text="Decision regions",
        on_progress=on_progress,
    )
    return None if grid is None else Regions(grid, image_plane, images.to_pixels(third)[0], title)


def _anchor_image(recipe: Recipe, example: Example, attacked: AttackOutcome) -> tuple[Tensor, str]:
    """An image of the target, or of the class that the attacked image is taken for."""
    domain, classifier = domains.get(recipe.domain), example.classifier
    class_number = attacked.target if attacked.target is not None else attacked.prediction.label
    name = classifier.classes[class_number]
    if class_number != example.label:
        for item in domain.gallery():
            if item.label == class_number:
                pixels = domain.gallery_pixels(item.name)
                return images.to_tensor(images.fit(pixels, classifier.size, classifier.channels, "crop")), name
        for split in domain.splits():
            places = np.flatnonzero(domain.labels(split) == class_number)
            if len(places):
                pixels = domain.pixels(split, int(places[0]))
                return images.to_tensor(images.fit(pixels, classifier.size, classifier.channels, "crop")), name
    generator = torch.Generator().manual_seed(recipe.seed)
    noise = torch.randn(example.images.shape, generator=generator)
    length = float((images.to_tensor(attacked.adversarial) - example.images).norm())
    return (example.images + noise * length / noise.norm()).clamp(0, 1), "a random change"
