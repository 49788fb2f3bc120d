"""HGD: a denoiser that is guided by the logits of the classifier behind it."""

from __future__ import annotations

from typing import ClassVar

from core.defenses.learned import LearnedDefense


class HGD(LearnedDefense):
    """A U-Net predicts the noise, which is subtracted: x̂ = x - dx (Liao et al. 2018; Dornadula et al. 2018).

    It was trained so that the classifier's logits of x̂ are those of the clean image.
    """

    name: ClassVar[str] = "hgd"
    title: ClassVar[str] = "Guided denoiser (HGD)"
    summary: ClassVar[str] = "A U-Net predicts the perturbation and subtracts it; trained on the classifier's logits."
    paper: ClassVar[str] = "Liao et al. 2018; Dornadula et al. 2018"
