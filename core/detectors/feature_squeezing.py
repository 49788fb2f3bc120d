"""Feature squeezing (Xu et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import PrivateAttr
from torch import Tensor

from core.defenses import Bilateral, BitDepth, Defense, SpatialSmoothing
from core.detectors.base import Detector
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.systems.guarded import Guarded


class FeatureSqueezing(Detector):
    """max over squeezers s of ‖softmax f(x) − softmax f(s(x))‖₁, in [0, 2] (Xu, Evans and Qi 2018, section V).

    The squeezers are bit depth 5 (1 for gray images) and the median of 2×2, as in the paper's tables; for color also the bilateral
    filter, in place of the paper's non-local means. The gradient through a squeezer is its own, or the identity where it has none (BPDA).

    Args:
        classifier: whose images are scored.
        squeezers: other squeezers than the paper's.

    Raises:
        InvalidInput: there are no squeezers.
    """

    name: ClassVar[str] = "feature_squeezing"
    title: ClassVar[str] = "Feature squeezing"
    summary: ClassVar[str] = (
        "A squeezed image should be taken for the same thing: the largest change of the prediction."
    )
    paper: ClassVar[str] = "Xu, Evans and Qi 2018, section V"

    _squeezers: tuple[Defense, ...] | None = PrivateAttr(None)

    def __init__(
        self, classifier: Classifier | None = None, squeezers: Sequence[Defense] | None = None, /, **values: Any
    ) -> None:
        super().__init__(classifier, **values)
        if squeezers is not None and not squeezers:
            raise InvalidInput("Feature squeezing needs at least one squeezer.")
        self._squeezers = None if squeezers is None else tuple(squeezers)

    @property
    def squeezers(self) -> tuple[Defense, ...]:
        """The filters whose effect on the prediction is measured."""
        if self._squeezers is not None:
            return self._squeezers
        gray = self.classifier.channels == 1
        return BitDepth(bits=1 if gray else 5), SpatialSmoothing(window=2), *(() if gray else (Bilateral(),))

    @property
    def _squeezed(self) -> list[Guarded]:
        return [Guarded(self.classifier, squeezer, "best") for squeezer in self.squeezers]

    def distances(self, images: Tensor) -> Tensor:
        """The L1 distance of each squeezer's prediction from the plain one, squeezers × N, of N×C×H×W in [0, 1]."""
        images = self.classifier.accepted(images)
        plain = self.classifier(images).softmax(1)
        return torch.stack([(plain - squeezed(images).softmax(1)).abs().sum(1) for squeezed in self._squeezed])

    def score(self, images: Tensor) -> Tensor:
        return self.distances(images).amax(0)

    @torch.no_grad()
    def corrected_label(self, images: Tensor) -> Tensor:
        """The class with the largest mean probability over the squeezed images."""
        images = images.to(self.classifier.device)
        return torch.stack([squeezed(images).softmax(1) for squeezed in self._squeezed]).mean(0).argmax(1)
