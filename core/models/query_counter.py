"""How often an attacker asked a classifier."""

from __future__ import annotations

from torch import Tensor

from core.models.classifier import Classifier, Wrapper


class QueryCounts:
    """Images that were asked about: `queries` for logits alone, `gradients` for logits whose gradient can be computed."""

    def __init__(self) -> None:
        self.queries = 0
        self.gradients = 0


class QueryCounter(Wrapper):
    """A classifier that counts what it is asked; otherwise it is the classifier that it wraps."""

    def __init__(self, classifier: Classifier, counts: QueryCounts) -> None:
        super().__init__(classifier)
        self.counts = counts

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of images N×C×H×W in [0, 1]."""
        if images.requires_grad:
            self.counts.gradients += len(images)
        else:
            self.counts.queries += len(images)
        return self.classifier(images)  # type: ignore[no-any-return]
