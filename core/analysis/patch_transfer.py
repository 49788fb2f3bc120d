"""A universal patch that is kept: stuck onto any image, anywhere, turned and sized as one likes."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch

from core import domains, images
from core.attacks import UniversalPatch
from core.attacks.patch import Placing, Shape, stencil, stick
from core.images import quantise
from core.inputs import InvalidInput
from core.recipe.example import Example, Pixels, predict
from core.recipe.outcome import Outcome, Prediction


@dataclass(frozen=True)
class PrintedPatch:
    """A printed patch, S×S×C in 8 bits, its outline, and what it was made for."""

    patch: Pixels
    shape: Shape
    target: str
    target_number: int
    domain: str
    classifier: str  # that it was trained against


@dataclass(frozen=True)
class PatchedImage:
    """An image with a patch on it, how much of it the patch covers, and what the classifier says of it."""

    image: Pixels
    covered: float
    prediction: Prediction
    reached: bool  # the classifier names the patch's target


def extract_patch(outcome: Outcome) -> PrintedPatch | None:
    """The patch of a universal attack, to keep; None of another attack."""
    attack, attacked = outcome.recipe.build_attack(), outcome.attacked
    if not isinstance(attack, UniversalPatch) or attacked.patch is None or attacked.target is None:
        return None
    shelf = domains.get(outcome.domain)
    title = shelf.classifier_title(outcome.classifier)
    return PrintedPatch(
        attacked.patch, attack.shape, outcome.classes[attacked.target], attacked.target, outcome.domain, title
    )


def apply_patch(
    printed: PrintedPatch,
    example: Example,
    *,
    row: float = 0.5,
    column: float = 0.5,
    angle: float = 0.0,
    size: float | None = None,
) -> PatchedImage:
    """The patch on the example's image, as an 8-bit image.

    Args:
        row, column: where it lies, 0 to 1 from the top and from the left, as in the attack's own parameters.
        angle: counter-clockwise, in degrees.
        size: its side as a share of the image's; the size it was made for without it.

    Raises:
        InvalidInput: a value is out of range, or the patch and the image are not both grey or both in color.
    """
    side, channels = printed.patch.shape[0], printed.patch.shape[2]
    height, width, colors = example.clean.shape
    if channels != colors:
        kinds = {1: "grey", 3: "in color"}
        raise InvalidInput(
            f"The patch is {kinds[channels]} and the image {kinds[colors]}; choose an image of its domain."
        )
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise InvalidInput(f"The place is row {row:g}, column {column:g}; both must lie between 0 and 1.")
    if size is not None and not 0.02 <= size <= 1:
        raise InvalidInput(f"The size is {size:g} of the image's side; choose 0.02 to 1.")
    scale = 1.0 if size is None else size * min(height, width) / side
    # The top left corner on a whole pixel, so that at its own size the patch is copied and not blurred.
    corner = [torch.tensor([share * (free - side * scale)]).round() for share, free in ((row, height), (column, width))]
    middle = [value + (side * scale - 1) / 2 for value in corner]
    how = Placing.at(middle[0], middle[1], angle=angle * pi / 180, scale=scale)
    image, cover = stick(example.images, images.to_tensor(printed.patch)[0], stencil(side, printed.shape), how)
    with torch.no_grad():
        prediction = predict(example.classifier, quantise(image).to(example.classifier.device), example.label)
    if example.classifier.domain == printed.domain:
        reached = prediction.label == printed.target_number
    else:  # a class of the same name is all that two domains may share
        reached = example.classifier.classes[prediction.label] == printed.target
    return PatchedImage(images.to_pixels(image)[0], float(cover.mean()), prediction, reached)
