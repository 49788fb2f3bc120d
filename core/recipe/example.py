"""The image and the classifier of a recipe, and what a classifier says of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import domains, images
from core.device import pick
from core.domains.gallery import default_item
from core.domains.image_ref import ImageRef
from core.inputs import InvalidInput, check_logits
from core.models.classifier import Classifier
from core.recipe.outcome import Prediction
from core.recipe.recipe import Recipe
from core.systems.system import Loader

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """The image and the classifier of a recipe, ready to be attacked."""

    classifier: Classifier
    clean: Pixels  # size×size×channels
    label: int  # the true class; where it is unknown, what the classifier says of the clean image
    label_known: bool
    clean_prediction: Prediction
    image_ref: ImageRef  # which image it is; a default is named
    load_other: Loader  # gives the domain's other classifiers by name

    @property
    def known_label(self) -> int | None:
        """The true class; None where it is unknown."""
        return self.label if self.label_known else None

    @property
    def images(self) -> Tensor:
        """The clean image as a batch of one, 1×C×H×W."""
        return images.to_tensor(self.clean)

    @property
    def labels(self) -> Tensor:
        return torch.tensor([self.label])

    def load(self, name: str) -> Classifier:
        """The classifier of that name, '' for the recipe's own."""
        return self.load_other(name) if name else self.classifier


def load_example(
    recipe: Recipe,
    *,
    device: str | None = None,
    classifier: Classifier | None = None,
    classifiers: Loader | None = None,
    uploads: Mapping[str, Pixels] | None = None,
) -> Example:
    """The recipe's image, fitted, and its classifier. Where the recipe names no image, it is the domain's default for this classifier.

    Args:
        classifier: the recipe's classifier where the caller has it loaded already.
        classifiers: gives other classifiers of the domain by name, where the caller keeps them loaded.
        uploads: images that users brought (H×W×3, 8 bits), by their digest.

    Raises:
        InvalidInput: the image is not here, or data or weights are missing.
    """
    domain = domains.get(recipe.domain)
    if classifier is None:
        classifier = domain.classifier(recipe.classifier or None, device=str(pick(device)))
    if classifiers is None:
        classifiers = cache(partial(domain.classifier, device=str(classifier.device)))
    image_ref = recipe.image
    if image_ref.kind == "gallery" and not image_ref.name:
        image_ref = image_ref.model_copy(update={"name": default_item(domain, classifier).name})
    pixels, label = domain.image(image_ref, uploads or {})
    if label is None and recipe.true_class:
        label = domain.class_number(recipe.true_class)
    clean = images.fit(pixels, classifier.size, classifier.channels, recipe.image.fit)
    with torch.no_grad():
        probabilities = probabilities_of(classifier, images.to_tensor(clean))
    known = label is not None
    true = label if label is not None else int(probabilities.argmax())
    return Example(classifier, clean, true, known, prediction_of(probabilities, true), image_ref, classifiers)


def check_target(example: Example, target: int) -> None:
    """Refuse a target that the clean image has already.

    Raises:
        InvalidInput: it is the image's true class or, where that is unknown, what the classifier sees in the clean image.
    """
    if target != example.label:
        return
    if example.label_known:
        raise InvalidInput("The target is the image's own class; choose another class as the target.")
    raise InvalidInput(
        f"The classifier sees {example.classifier.classes[target]!r} in the clean image already; choose another class as the target."
    )


def predict(classifier: Classifier, batch: Tensor, label: int) -> Prediction:
    """What the classifier says of a batch of one, whose true class is `label`."""
    return prediction_of(probabilities_of(classifier, batch), label)


def probabilities_of(classifier: Classifier, batch: Tensor) -> Tensor:
    """The probabilities K of a batch of one.

    Raises:
        InvalidInput: the logits are not finite.
    """
    logits = classifier(batch)
    check_logits(logits)
    return logits[0].float().softmax(0).cpu()  # type: ignore[no-any-return]


def prediction_of(probabilities: Tensor, label: int) -> Prediction:
    """What probabilities K say of an image whose true class is `label`."""
    values, numbers = probabilities.topk(min(5, len(probabilities)))
    top = tuple((int(n), float(v)) for n, v in zip(numbers, values, strict=True))
    return Prediction(label=top[0][0], confidence=top[0][1], top=top, true_confidence=float(probabilities[label]))
