"""What a denoiser removes from the clean and from the attacked image of a recipe, beside the attack's own perturbation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core import images
from core.defenses import DKN, Defense
from core.models.per_pixel import contributions
from core.recipe.example import Example, predict
from core.recipe.outcome import Pixels, Prediction

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DenoisedImage:
    """One image behind a denoiser.

    Attributes:
        image, denoised: 8 bits, H×W×C.
        residual: what the denoiser removed, image - denoised before 8-bit rounding, float32 H×W×C.
        before, after: what the classifier says of the image and of its denoised form.
    """

    image: Pixels
    denoised: Pixels
    residual: Values
    before: Prediction
    after: Prediction


@dataclass(frozen=True)
class Denoising:
    """The clean and the attacked image behind a denoiser.

    Attributes:
        perturbation: attacked - clean, float32 H×W×C. remaining: denoised attacked - clean.
        correlation: Pearson's, over all values, between the perturbation and what was removed from the attacked image; None where one
            of them is constant.
        removed: the share of the perturbation's energy that is gone, 1 - ‖remaining‖²/‖perturbation‖²; negative where the denoised
            image is farther from the clean one than the attacked one was; None without a perturbation.
    """

    clean: DenoisedImage
    adversarial: DenoisedImage
    perturbation: Values
    remaining: Values
    correlation: float | None
    removed: float | None


def denoise(example: Example, adversarial: Pixels, defense: Defense) -> Denoising:
    """The denoiser on the clean and on the attacked image of an example.

    Args:
        adversarial: 8 bits, H×W×C.

    Raises:
        InvalidInput: the denoiser is not for these images.
    """
    batch = torch.cat([example.images.cpu(), images.to_tensor(adversarial)]).to(example.classifier.device)
    with torch.no_grad():
        denoised = defense(batch)
    clean, attacked = (
        DenoisedImage(
            image=pixels,
            denoised=images.to_pixels(denoised[n : n + 1])[0],
            residual=_values(batch[n] - denoised[n]),
            before=predict(example.classifier, batch[n : n + 1], example.label),
            after=predict(example.classifier, denoised[n : n + 1], example.label),
        )
        for n, pixels in enumerate((example.clean, adversarial))
    )
    perturbation, remaining = _values(batch[1] - batch[0]), _values(denoised[1] - batch[0])
    energy = float((perturbation**2).sum())
    return Denoising(
        clean=clean,
        adversarial=attacked,
        perturbation=perturbation,
        remaining=remaining,
        correlation=_correlation(perturbation, attacked.residual),
        removed=1 - float((remaining**2).sum()) / energy if energy else None,
    )


@dataclass(frozen=True)
class KernelMaps:
    """The kernels of one image, m²×C×H×W each; entry i belongs to the pixel i // m - m // 2 rows and i % m - m // 2 columns away.

    Attributes:
        weights: by which the neighborhood of each pixel is added up.
        contributions: what each neighbor adds to the pixel's new value, in units of [0, 1]; their sum over i is the new value before
            it is cut to [0, 1].
    """

    weights: Values
    contributions: Values


def kernel_maps(example: Example, pixels: Pixels, defense: DKN) -> KernelMaps:
    """The kernels that the network predicts for an image of 8 bits, H×W×C.

    Raises:
        InvalidInput: the network predicts no kernels, or is not for these images.
    """
    batch = images.to_tensor(pixels).to(example.classifier.device)
    with torch.no_grad():
        weights = defense.kernels(batch)
        added = contributions(batch, weights * weights.shape[1])
    return KernelMaps(weights[0].cpu().numpy(), added[0].cpu().numpy())


def _values(image: torch.Tensor) -> Values:
    values: Values = image.permute(1, 2, 0).cpu().numpy()
    return values


def _correlation(first: Values, second: Values) -> float | None:
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
