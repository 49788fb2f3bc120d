"""Square: random squares of noise, kept where they help; it asks for no gradient."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from math import sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import margin, per_image
from core.declaration import FractionFloat, flag, number
from core.models.classifier import Classifier
from core.random_streams import RandomStreams

_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries (the published schedule)


class Square(Attack):
    """Black box: a square of ±eps at a random place, kept where the margin rises (Andriushchenko et al. 2020, algorithms 1 and 2).

    It starts from vertical stripes of ±eps; the squares cover the share p of the image at first and less and less later.
    """

    name: ClassVar[str] = "square"
    title: ClassVar[str] = "Square"
    summary: ClassVar[str] = "Black box: random squares of noise, kept where they help."
    paper: ClassVar[str] = "Andriushchenko et al. 2020, algorithms 1 and 2"
    threat: ClassVar[Literal["white_box", "score_based", "none"]] = "score_based"

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    queries: int = number(
        1000,
        1,
        20_000,
        help="How often the classifier may be asked; the paper's 5,000 are stronger.",
        step=100,
        slider_max=5000,
    )
    p_init: FractionFloat = number(
        0.8, 0.01, 1, help="The share of the image that the first squares cover (p).", step=0.05
    )
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def side(self, query: int, height: int, width: int) -> int:
        """The side of the square at that query."""
        halvings = bisect_right(_HALVED_AT, int(query / self.queries * 10_000) - 1)
        return max(1, min(height, width, round(sqrt(self.p_init / 2**halvings * height * width))))

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        n, channels, height, width = images.shape
        batch = ActiveBatch.start(classifier, images, labels, goal, margin)
        yield batch.step(0, self.queries)
        x, streams = images, RandomStreams.of(images, generator)
        signs = streams.randint(2, channels, 1, width).to(images) * 2 - 1
        x_adv = (x + self.eps * signs).clamp(0, 1)
        loss = x.new_full((n,), -torch.inf)
        for query in range(1, self.queries + 1):
            tried = x_adv if query == 1 else self._squares(x_adv, x, self.side(query - 2, height, width), streams)
            points = batch.evaluate(tried, margin)
            better = points.loss > loss
            x_adv, loss = torch.where(per_image(better), tried, x_adv), torch.where(better, points.loss, loss)
            going = batch.update(points, early_stop=self.early_stop)
            yield batch.step(query, self.queries)
            if batch.finished:
                return
            if not bool(going.all()):
                x, x_adv, loss, streams = x[going], x_adv[going], loss[going], streams.at(going)
        if batch.restore_survivors():
            yield batch.step(self.queries, self.queries)

    def _squares(self, x_adv: Tensor, clean: Tensor, side: int, streams: RandomStreams) -> Tensor:
        """`x_adv` with a square of clean ± eps in each image, each at its own place."""
        _, channels, height, width = x_adv.shape
        device = x_adv.device
        drawn = streams.rand(2 + channels).to(device)  # one draw an image and query: the place, then a sign a channel
        free = torch.tensor([height - side, width - side], device=device)
        spot = (drawn[:, :2] * (free + 1)).long().minimum(free)
        top, left = spot[:, :1], spot[:, 1:]
        rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
        down = (rows >= top) & (rows < top + side)
        across = (columns >= left) & (columns < left + side)
        inside = (down[:, :, None] & across[:, None, :])[:, None]
        signs = (drawn[:, 2:, None, None] < 0.5).to(x_adv) * 2 - 1
        # The published step adds 2·eps and cuts at the ball, which is the ball's face on that side.
        return torch.where(inside, (clean + self.eps * signs).clamp(0, 1), x_adv)
