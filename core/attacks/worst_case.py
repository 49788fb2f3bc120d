"""The worst case: the parts of AutoAttack that need no tuning, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch, Points
from core.attacks.apgd import APGDCE, APGDT
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import cross_entropy
from core.attacks.square import Square
from core.declaration import FractionFloat, number
from core.models.classifier import Classifier


class WorstCase(Attack):
    """APGD-CE, then APGD-T, then Square, each on the images that resisted so far (Croce and Hein 2020, AutoAttack without FAB).

    It measures robust accuracy, whether an image can be fooled at all, so each image is left alone at its first success: its
    images lie at the decision boundary, and a defense undoes them more easily than those of an attack that runs on.
    """

    name: ClassVar[str] = "worst_case"
    title: ClassVar[str] = "Worst case"
    summary: ClassVar[str] = (
        "APGD-CE, APGD-T and Square one after another, up to the first success: what to report as robustness."
    )
    paper: ClassVar[str] = "Croce and Hein 2020 (AutoAttack without FAB)"

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    iterations: int = number(100, 5, 1000, help="Steps of each APGD run.", step=5, slider_max=200, alias="steps")
    queries: int = number(1000, 1, 20_000, help="Queries of Square; the paper's are 5,000.", step=100, slider_max=5000)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        many = len(classifier.classes) >= 4
        parts: tuple[Attack, ...] = (
            APGDCE(eps=self.eps, iterations=self.iterations, early_stop=True),
            *([APGDT(eps=self.eps, iterations=self.iterations, early_stop=True)] if many else []),
            Square(eps=self.eps, queries=self.queries, early_stop=True),
        )
        runs = 1 + (min(9, len(classifier.classes) - 1) if many and goal.targets is None else int(many))
        total = runs * self.iterations + self.queries
        batch = ActiveBatch.start(classifier, images, labels, goal, cross_entropy)
        before = 0
        for part in parts:
            resisting = batch.rows(images), batch.rows(labels), batch.active_goal
            last: Step | None = None
            for last in part.iterate(classifier, *resisting, generator):
                batch.merge(Points(last.images, last.logits, last.loss, last.fooled))
                yield batch.step(before + last.number, total)
            assert last is not None
            batch.finish(~batch.is_adversarial(last.images, torch.ones_like(last.fooled)))
            before += last.total
            if batch.finished:
                return
