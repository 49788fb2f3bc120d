"""What the attention masks of a classifier say of a recipe's images (Nguyen 2018, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core import images
from core.explain import masks
from core.explain.masks import Attention, Kind
from core.recipe.example import Example, Pixels, predict
from core.recipe.outcome import Prediction


@dataclass(frozen=True)
class MaskedImage:
    """One image, its mask, and what is left of it where everything else is noise.

    Attributes:
        prediction: of the image. corrupted, corrupted_prediction: the image with noise where the mask allows it (equation 8).
        mask: 1 − A, the mean over the channels; H×W in [0, 1].
        noise_share: the mean of A: how much may be noise.
        mask_class, mask_confidence: what f2 reads in the mask.
    """

    pixels: Pixels
    prediction: Prediction
    mask: npt.NDArray[np.float32]
    noise_share: float
    mask_class: int
    mask_confidence: float
    corrupted: Pixels
    corrupted_prediction: Prediction


@dataclass(frozen=True)
class ImageMask:
    """The mask of one image by one generator: its β, the mask H×W, and the class that f2 reads in it."""

    beta: float
    mask: npt.NDArray[np.float32]
    mask_class: int


@torch.no_grad()
def masked_image(attention: Attention, example: Example, pixels: Pixels, draw: int) -> MaskedImage:
    """An image through one mask generator; `draw` seeds the noise."""
    image = images.to_tensor(pixels).to(example.classifier.device)
    mask = attention.mask(image)
    corrupted = attention.corrupted(image, torch.Generator().manual_seed(draw))
    confidence, number = attention.reader(mask)[0].softmax(0).max(0)
    return MaskedImage(
        pixels,
        predict(example.classifier, image, example.label),
        mask[0].mean(0).cpu().numpy(),
        float(1 - mask.mean()),
        int(number),
        float(confidence),
        images.to_pixels(corrupted)[0],
        predict(example.classifier, corrupted, example.label),
    )


@torch.no_grad()
def masks_by_beta(form: Kind, example: Example, pixels: Pixels) -> list[ImageMask]:
    """The masks of one image by every generator of that form that the example's domain has."""
    image = images.to_tensor(pixels).to(example.classifier.device)
    image_masks = []
    for name in masks.names(example.classifier.domain):
        about = masks.card(name)
        if about.architecture == form:
            attention = masks.load(name, str(example.classifier.device))
            mask = attention.mask(image)
            read = int(attention.reader(mask).argmax())
            image_masks.append(ImageMask(masks.beta(about), mask[0].mean(0).cpu().numpy(), read))
    return image_masks
