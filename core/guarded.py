"""A classifier behind a defense, as an attacker with a given knowledge sees it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from core.defenses.base import Defense
from core.inputs import BadInput
from core.models.classifier import Classifier

Backward = Literal["none", "identity", "true", "best"]


class Guarded(Classifier):
    """`classifier(defense(images))`, again a classifier, so that every attack works against every defense unchanged.

    `backward` says what the attacker knows of the defense:
        'none': nothing (grey box). The attack is crafted on the bare classifier; its success is judged behind the defense.
        'identity': the defense runs forward and counts as the identity backward (BPDA; Athalye et al. 2018, section 4.1).
        'true': its true gradient; refused where a part of the defense has none, such as rounding.
        'best': part by part, the true gradient where there is one and the identity elsewhere.

    Raises:
        BadInput: `backward` is unknown, or is 'true' for a defense without a useful gradient.
    """

    def __init__(self, classifier: Classifier, defense: Defense, backward: Backward = "identity") -> None:
        nn.Module.__init__(self)
        if backward not in ("none", "identity", "true", "best"):
            raise BadInput(f"backward is {backward!r}; it must be 'none', 'identity', 'true' or 'best'.")
        without = defense.without_gradient()
        if backward == "true" and without:
            verb = "has" if len(without) == 1 else "have"
            raise BadInput(
                f"{' and '.join(without)} {verb} no useful gradient; use backward='identity' (BPDA) or 'best'."
            )
        self.classifier = classifier
        self.defense = defense
        self.backward = backward
        for name in ("name", "title", "domain", "classes", "size", "channels"):
            setattr(self, name, getattr(classifier, name))
        super().train(False)

    @property
    def surrogate(self) -> Classifier:
        """What the attacker differentiates."""
        return self.classifier if self.backward == "none" else self

    @property
    def cam_module(self) -> nn.Module:
        return self.classifier.cam_module

    @property
    def device(self) -> torch.device:
        return self.classifier.device

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of the defended images, N×C×H×W in [0, 1]; the gradient is the one that `backward` names."""
        images = images.to(self.device)
        if images.requires_grad:
            return self.classifier(self.defense.guarded_gradient(images, self.backward))  # type: ignore[no-any-return]
        return self.classifier(self.defense.apply(images))  # type: ignore[no-any-return]
