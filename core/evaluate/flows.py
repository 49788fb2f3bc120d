"""The spatial attack's own experiment (LAN/CERT, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks import StAdv
from core.evaluate.papers import Count, Line, Reproduction, Watch
from core.images import quantise
from core.models.classifier import Classifier
from core.sampling import variation


def _unattacked(classifier: Classifier, other: str) -> Count:
    """Counts the clean pictures that are right; nothing under the table's other column."""

    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        with torch.no_grad():
            right = classifier(quantise(x)).argmax(1) == y
        return {"still right": right, other: torch.zeros_like(right)}

    return count


class FlowTable(Reproduction):
    """LAN/CERT's attack, bounded and weighted, against DKN's model A."""

    name: ClassVar[str] = "stadv"
    title: ClassVar[str] = "stAdv on MNIST"
    domain: ClassVar[str] = "mnist"
    classifier: ClassVar[str] = "a"
    published: ClassVar[str] = (
        "stAdv with its total variation bounded by 7.0 fooled about 380 of 1,000 MNIST pictures: 62 % still right, on a plain "
        "two-layer network (LAN/CERT). Ours is model A, a convolutional network; another network is another number."
    )

    def lines(self, classifier: Classifier, seed: int, watch: Watch | None) -> list[Line]:
        def moved(attack: StAdv) -> Count:
            def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
                result = attack(classifier, x, y, generator=generator)
                small = variation(result.extras["flow"]) <= 7 * (1 + 1e-4)
                return {
                    "still right": result.logits.argmax(1) == y,
                    "fooled within a variation of 7": result.success & small,
                }

            return count

        return [
            Line("no attack", 0.98, _unattacked(classifier, "fooled within a variation of 7")),
            Line(
                "bounded by 7.0",
                0.62,
                moved(StAdv(constraint="bounded", max_tv=7.0, tau=0.02, iterations=200, binary_search_steps=6)),
            ),
            Line("weighted, τ searched", None, moved(StAdv(tau=0.02, iterations=200, binary_search_steps=6))),
        ]
