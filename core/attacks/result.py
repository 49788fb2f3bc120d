"""What an attack found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from core.images import quantise


@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    Attributes:
        images: adversarial images, float32 N×C×H×W in [0, 1], on the device of the images handed in; where the attack failed,
            its best attempt, or the clean image for an attack that looks for the smallest change.
        success: bool N, decided after 8-bit rounding, by the classifier that was handed in (with its defense, if guarded).
        steps: int64 N, the iteration of the first success, where the attack first fooled the classifier that it attacks; the
            iterations run where it never did.
        logits: N×K of the 8-bit images, from the classifier handed in.
        targets: the class each image was pushed toward, or None.
        mask: the pixels that a local attack may change, bool N×1×H×W, or None.
        extras: what else the attack made, as in `Step`.
        iterations: iterations run.
        seconds: wall time.
        stopped: whether `on_progress` or a cancellation stopped it early.
    """

    images: Tensor
    success: Tensor
    steps: Tensor
    logits: Tensor
    targets: Tensor | None
    mask: Tensor | None
    extras: Mapping[str, Tensor]
    iterations: int
    seconds: float
    stopped: bool

    @property
    def rounded(self) -> Tensor:
        """The images as an 8-bit file keeps them."""
        return quantise(self.images)
