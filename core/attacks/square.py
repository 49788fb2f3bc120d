"""Square: random squares of noise, kept where they help; it asks for no gradient."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from math import sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.apgd import State
from core.attacks.base import Attack, Goal, Step
from core.attacks.losses import attack_loss, per_image
from core.declaration import Real, flag, number
from core.models.classifier import Classifier
from core.random_streams import RandomStreams

_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries (the published schedule)


class Square(Attack):
    """Black box: a square of ±eps at a random place, kept where the margin rises (Andriushchenko et al. 2020, algorithms 1 and 2).

    It starts from vertical stripes of ±eps; the squares cover the share p of the picture at first and less and less later.
    """

    name: ClassVar[str] = "square"
    title: ClassVar[str] = "Square"
    summary: ClassVar[str] = "Black box: random squares of noise, kept where they help."
    paper: ClassVar[str] = "Andriushchenko et al. 2020, algorithms 1 and 2"
    access: ClassVar[Literal["gradient", "logits", "nothing"]] = "logits"

    eps: Real = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, usual=32 / 255, unit="/255"
    )
    queries: int = number(
        1000,
        1,
        20_000,
        help="How often the classifier may be asked; the paper's 5,000 are stronger.",
        step=100,
        usual=5000,
    )
    share: Real = number(0.8, 0.01, 1, help="The share of the picture that the first squares cover (p).", step=0.05)
    early_stop: bool = flag(
        False, help="Stop an image at its first success, 8-bit rounding included: faster, and at the decision boundary."
    )

    def side(self, query: int, height: int, width: int) -> int:
        """The side of the square at that query."""
        halvings = bisect_right(_HALVED_AT, int(query / self.queries * 10_000) - 1)
        return max(1, min(height, width, round(sqrt(self.share / 2**halvings * height * width))))

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        def gain(logits: Tensor, truth: Tensor, targets: Tensor | None) -> Tensor:
            return attack_loss(logits, truth, Goal(targets), "margin")

        n, channels, height, width = images.shape
        state = State.begin(classifier, images, labels, goal, gain)
        yield state.step(0, self.queries)
        run, x, streams = state.open, images, RandomStreams.of(images, generator)
        signs = streams.randint(2, channels, 1, width).to(images) * 2 - 1
        now = (x + self.eps * signs).clamp(0, 1)
        value = x.new_full((n,), -torch.inf)
        for query in range(1, self.queries + 1):
            tried = now if query == 1 else self._squares(now, x, self.side(query - 2, height, width), streams)
            with torch.no_grad():
                logits = classifier(tried)
            found = gain(logits, labels[run], goal.at(run).targets)
            better = found > value
            now, value = torch.where(per_image(better), tried, now), torch.where(better, found, value)
            keep = state.take(run, tried, logits, found, self.early_stop)
            yield state.step(query, self.queries)
            if not bool(keep.any()):
                return
            if not bool(keep.all()):
                run, x, now, value, streams = run[keep], x[keep], now[keep], value[keep], streams.at(keep)
        yield from state.settled(self.queries)

    def _squares(self, now: Tensor, clean: Tensor, side: int, streams: RandomStreams) -> Tensor:
        """`now` with a square of clean ± eps in each picture, each at its own place."""
        _, channels, height, width = now.shape
        device = now.device
        drawn = streams.rand(2 + channels).to(device)  # one draw an image and query: the place, then a sign a channel
        free = torch.tensor([height - side, width - side], device=device)
        spot = (drawn[:, :2] * (free + 1)).long().minimum(free)
        top, left = spot[:, :1], spot[:, 1:]
        rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
        down = (rows >= top) & (rows < top + side)
        across = (columns >= left) & (columns < left + side)
        inside = (down[:, :, None] & across[:, None, :])[:, None]
        signs = (drawn[:, 2:, None, None] < 0.5).to(now) * 2 - 1
        # The published step adds 2·eps and cuts at the ball, which is the ball's face on that side.
        return torch.where(inside, (clean + self.eps * signs).clamp(0, 1), now)
