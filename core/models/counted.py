"""How often an attacker looked at a classifier."""

from __future__ import annotations

from torch import Tensor

from core.models.classifier import Classifier, Wrapper


class Tally:
    """Looks at single pictures: `queries` for logits alone, `gradients` for logits whose gradient can be asked."""

    def __init__(self) -> None:
        self.queries = 0
        self.gradients = 0


class Counted(Wrapper):
    """A classifier that counts into a tally who looks at it; else it is that classifier."""

    def __init__(self, classifier: Classifier, tally: Tally) -> None:
        super().__init__(classifier)
        self.tally = tally

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of images N×C×H×W in [0, 1]."""
        if images.requires_grad:
            self.tally.gradients += len(images)
        else:
            self.tally.queries += len(images)
        return self.classifier(images)  # type: ignore[no-any-return]
