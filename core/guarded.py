"""A classifier behind a defense, as an attacker with a given knowledge sees it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from core.defenses.base import Defense
from core.inputs import BadInput
from core.models.classifier import Classifier, Wrapper

Backward = Literal["none", "identity", "true", "best", "average"]


class Guarded(Wrapper):
    """`classifier(defense(images))`, again a classifier, so that every attack works against every defense unchanged.

    `backward` says what the attacker knows of the defense:
        'none': nothing (grey box). The attack is crafted on the bare classifier; its success is judged behind the defense.
        'identity': the defense runs forward and counts as the identity backward (BPDA; Athalye et al. 2018, section 4.1).
        'true': its true gradient; refused where a part of the defense has none, such as rounding.
        'best': part by part, the true gradient where there is one and the identity elsewhere.
        'average': as 'best', averaged over `samples` draws of the defense's own randomness, fresh ones at every look
            (expectation over transformation; Athalye et al. 2018, section 4.2). Of a defense without randomness it is 'best'.

    Without a gradient the logits of a randomised defense are the mean over `samples` draws that are always the same, so that a
    success is no luck of one draw and the same picture always gets the same answer.

    Raises:
        BadInput: `backward` is unknown, or is 'true' for a defense without a useful gradient.
    """

    def __init__(
        self,
        classifier: Classifier,
        defense: Defense,
        backward: Backward = "identity",
        *,
        samples: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(classifier)
        if backward not in get_args(Backward):
            known = ", ".join(repr(word) for word in get_args(Backward))
            raise BadInput(f"backward is {backward!r}; it must be one of {known}.")
        if not 1 <= samples <= 1000:
            raise BadInput(f"samples is {samples}; it must be 1 to 1000.")
        without = defense.without_gradient()
        if backward == "true" and without:
            verb = "has" if len(without) == 1 else "have"
            raise BadInput(
                f"{' and '.join(without)} {verb} no useful gradient; use backward='identity' (BPDA) or 'best'."
            )
        self.defense = defense
        self.backward = backward
        self.samples = samples if defense.randomised() else 1
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)  # of the attacker's own draws

    @property
    def surrogate(self) -> Classifier:
        """What the attacker differentiates."""
        return self.classifier if self.backward == "none" else self

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of the defended images, N×C×H×W in [0, 1]; the gradient is the one that `backward` names."""
        images = images.to(self.device)
        if not self.defense.randomised():
            backward = "best" if self.backward == "average" else self.backward
            return self._once(images, backward, None)
        if not images.requires_grad:
            judge = torch.Generator().manual_seed(self.seed)
            return self._mean(images, "none", judge, self.samples)
        if self.backward == "average":
            return self._mean(images, "best", self.generator, self.samples)
        return self._once(images, self.backward, None)

    def _mean(self, images: Tensor, backward: str, generator: torch.Generator, samples: int) -> Tensor:
        return torch.stack([self._once(images, backward, generator) for _ in range(samples)]).mean(0)

    def _once(self, images: Tensor, backward: str, generator: torch.Generator | None) -> Tensor:
        """Logits behind one draw of the defense; without a generator, the draw that the defense itself names."""
        if images.requires_grad:
            defended = self.defense.guarded_gradient(images, backward, generator)
        else:
            defended = self.defense.drawn(images, generator)
        return self.classifier(defended)  # type: ignore[no-any-return]
