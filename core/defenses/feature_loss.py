"""FL: a denoising autoencoder that was trained with feature losses."""

from __future__ import annotations

from typing import ClassVar

from core.defenses.learned import LearnedDefense


class FeatureLossAutoencoder(LearnedDefense):
    """An autoencoder with a bottleneck of 2×2×8 values redraws the image (Sivamani 2019, section 3.3).

    It was trained so that the features of its image in another network are those of the clean image.
    """

    name: ClassVar[str] = "fl"
    title: ClassVar[str] = "Feature-loss autoencoder (FL)"
    summary: ClassVar[str] = (
        "An autoencoder redraws the image from 32 numbers; trained on the features of another network."
    )
    paper: ClassVar[str] = "Sivamani 2019"
