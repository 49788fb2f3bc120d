"""The class maps of one recipe: of the clean picture, of the attacked one, and of each defended one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core import images
from core.explain.cams import Stopped, class_maps
from core.explain.layers import Layer
from core.explain.shift import Shift, is_empty, shift
from core.inputs import BadInput
from core.recipe.outcome import Attacked, Verdict
from core.recipe.recipe import Recipe
from core.recipe.running import Progress, Scene, Watch, look

Pixels = npt.NDArray[np.uint8]
About = str  # 'predicted', 'true', 'target', or a class's number


@dataclass(frozen=True)
class Explained:
    """One picture, what the classifier says of it, and where it looks for one class.

    Attributes:
        kind: 'clean', 'adversarial' or 'defended'. number: the class that is explained.
        map: H×W in [0, 1]. shift: from the clean picture's map to this one; None for the clean picture, and where one of the two
            maps is empty.
    """

    title: str
    kind: str
    pixels: Pixels
    verdict: Verdict
    number: int
    map: npt.NDArray[np.float32]
    shift: Shift | None

    @property
    def empty(self) -> bool:
        """Whether the map marks no place: what it is made of is nowhere positive for this class."""
        return is_empty(self.map)


def _pictures(recipe: Recipe, scene: Scene, attacked: Attacked) -> list[tuple[str, str, Pixels]]:
    """Title, kind and pixels of the clean picture, of the attacked one, and of that behind each defense of the recipe (grey box)."""
    title = "adversarial (stopped)" if attacked.stopped else "adversarial"
    found = [("clean", "clean", scene.clean), (title, "adversarial", attacked.adversarial)]
    batch = images.to_tensor(attacked.adversarial).to(scene.classifier.device)
    with torch.no_grad():
        for defense in recipe.built_defenses():
            found.append((defense.described(), "defended", images.to_pixels(defense(batch))[0]))
    return found


def explain(
    recipe: Recipe,
    scene: Scene,
    attacked: Attacked,
    *,
    method: str,
    layer: Layer,
    about: About = "predicted",
    watch: Watch | None = None,
) -> tuple[Explained, ...] | None:
    """Where the classifier looks in each picture; None where `watch` stopped it.

    Raises:
        BadInput: the method cannot work on the layer, or there is no such class.
    """
    classifier = scene.classifier
    pictures = _pictures(recipe, scene, attacked)
    verdicts = [look(classifier, images.to_tensor(pixels), scene.label) for _, _, pixels in pictures]
    numbers = [_class(about, scene, attacked, verdict) for verdict in verdicts]
    batch = torch.cat([images.to_tensor(pixels) for _, _, pixels in pictures])

    def told(done: int, total: int) -> bool:
        return watch is not None and bool(watch(Progress("Class maps", done, total)))

    try:
        maps = class_maps(classifier, batch, numbers, method=method, layer=layer, watch=told)
    except Stopped:
        return None
    region = None if attacked.mask is None else np.asarray(attacked.mask)[..., 0] > 0
    return tuple(
        Explained(
            title,
            kind,
            pixels,
            verdict,
            number,
            maps[n],
            None if n == 0 else shift(maps[0], maps[n], region),
        )
        for n, ((title, kind, pixels), verdict, number) in enumerate(zip(pictures, verdicts, numbers, strict=True))
    )


def _class(about: About, scene: Scene, attacked: Attacked, verdict: Verdict) -> int:
    if about == "predicted":
        return verdict.label
    if about == "true":
        if not scene.label_known:
            raise BadInput("The true class of this image is unknown; name 'predicted', 'target' or a class's number.")
        return scene.label
    if about == "target":
        return attacked.target if attacked.target is not None else attacked.verdict.label
    if about.isdecimal() and int(about) < len(scene.classifier.classes):
        return int(about)
    raise BadInput(
        f"There is no class {about[:60]!r} to explain; name 'predicted', 'true', 'target' or a class's number."
    )
