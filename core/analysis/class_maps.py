"""The class maps of one recipe: of the clean image, of the attacked one, and of each defended one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core import domains, images
from core.explain.cam_similarity import CamSimilarity, compare_maps, is_empty
from core.explain.cams import Stopped, class_maps
from core.explain.layers import Layer, layers
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import OnProgress
from core.recipe.example import Example, predict
from core.recipe.outcome import AttackOutcome, Prediction
from core.recipe.recipe import Recipe

Pixels = npt.NDArray[np.uint8]
TargetClass = str  # 'predicted', 'true', 'target', or a class by name or number


@dataclass(frozen=True)
class ClassMap:
    """One image, what the classifier says of it, and where it looks for one class.

    Attributes:
        kind: 'clean', 'adversarial' or 'defended'. number: the class that is explained.
        map: H×W in [0, 1]. clean_map: that of the clean image by the same classifier.
        similarity: of the two maps; None for a clean image, and where one of the two is empty.
    """

    title: str
    kind: str
    pixels: Pixels
    prediction: Prediction
    number: int
    map: npt.NDArray[np.float32]
    clean_map: npt.NDArray[np.float32]
    similarity: CamSimilarity | None

    @property
    def empty(self) -> bool:
        """Whether the map marks no place: what it is made of is nowhere positive for this class."""
        return is_empty(self.map)


@dataclass(frozen=True)
class _ImageToExplain:
    """An image to explain, and the classifier that looks at it."""

    title: str
    kind: str
    pixels: Pixels
    classifier: Classifier


def _images_to_explain(recipe: Recipe, example: Example, attacked: AttackOutcome) -> list[_ImageToExplain]:
    """The clean image, the attacked one, and that behind each member of each column of the recipe.

    Before the first member with another classifier than the recipe's stands the clean image as that classifier sees it.
    """
    title = "adversarial (stopped)" if attacked.stopped else "adversarial"
    own = example.classifier
    explained = [
        _ImageToExplain("clean", "clean", example.clean, own),
        _ImageToExplain(title, "adversarial", attacked.adversarial, own),
    ]
    batch = images.to_tensor(attacked.adversarial).to(own.device)
    with torch.no_grad():
        for system in recipe.build_systems():
            for member, (classifier, defense) in zip(system.members, system.loaded(example.load), strict=True):
                if all(item.classifier is not classifier for item in explained):
                    explained.append(_ImageToExplain(f"clean, {classifier.title}", "clean", example.clean, classifier))
                pixels = attacked.adversarial if defense is None else images.to_pixels(defense(batch))[0]
                explained.append(_ImageToExplain(member.describe(votes=system.votes), "defended", pixels, classifier))
    return explained


def explain(
    recipe: Recipe,
    example: Example,
    attacked: AttackOutcome,
    *,
    method: str,
    layer: Layer,
    about: TargetClass = "predicted",
    on_progress: OnProgress | None = None,
) -> tuple[ClassMap, ...] | None:
    """Where the classifier looks in each image; None where `on_progress` stopped it.

    Raises:
        InvalidInput: the method cannot work on the layer, or there is no such class.
    """
    explained = _images_to_explain(recipe, example, attacked)
    predictions = [predict(item.classifier, images.to_tensor(item.pixels), example.label) for item in explained]
    numbers = [_class(about, recipe, example, attacked, prediction) for prediction in predictions]

    maps: dict[int, npt.NDArray[np.float32]] = {}
    clean_maps: dict[Classifier, npt.NDArray[np.float32]] = {}
    try:
        for classifier in dict.fromkeys(item.classifier for item in explained):
            mine = [n for n, item in enumerate(explained) if item.classifier is classifier]
            computed = class_maps(
                classifier,
                torch.cat([images.to_tensor(explained[n].pixels) for n in mine]),
                [numbers[n] for n in mine],
                method=method,
                layer=layer if classifier is example.classifier else _usual_layer(classifier),
                on_progress=on_progress,
            )
            maps.update(zip(mine, computed, strict=True))
            clean_maps[classifier] = computed[0]  # the clean image comes first
    except Stopped:
        return None
    region = None if attacked.mask is None else np.asarray(attacked.mask)[..., 0] > 0
    return tuple(
        ClassMap(
            item.title,
            item.kind,
            item.pixels,
            prediction,
            number,
            maps[n],
            clean_maps[item.classifier],
            None if item.kind == "clean" else compare_maps(clean_maps[item.classifier], maps[n], region),
        )
        for n, (item, prediction, number) in enumerate(zip(explained, predictions, numbers, strict=True))
    )


def _usual_layer(classifier: Classifier) -> Layer:
    """The layer that class maps of a classifier are made of unless another one is chosen."""
    available = layers(classifier)
    if not available:
        raise InvalidInput(f"{classifier.title} has no layer that makes maps.")
    return next((candidate for candidate in available if candidate.name == classifier.cam_layer), available[-1])


def _class(
    about: TargetClass, recipe: Recipe, example: Example, attacked: AttackOutcome, prediction: Prediction
) -> int:
    if about == "predicted":
        return prediction.label
    if about == "true":
        if not example.label_known:
            raise InvalidInput("The true class of this image is unknown; name 'predicted', 'target' or a class.")
        return example.label
    if about == "target":
        return attacked.target if attacked.target is not None else attacked.prediction.label
    return domains.get(recipe.domain).class_number(about)
