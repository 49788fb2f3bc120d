"""LaVAN: localised and visible adversarial noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.adam import Adam
from core.attacks.base import Attack, Criterion, Step
from core.declaration import FractionFloat, choice, number
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams


@dataclass(frozen=True)
class Place:
    """Where the square patch of `side` pixels lies on each image: its top row and left column, int64 N."""

    top: Tensor
    left: Tensor
    side: int

    def mask(self, height: int, width: int) -> Tensor:
        """Which pixels the patch covers: bool N×1×H×W."""
        rows, columns = torch.arange(height, device=self.top.device), torch.arange(width, device=self.top.device)
        down = (rows >= self.top[:, None]) & (rows < self.top[:, None] + self.side)
        across = (columns >= self.left[:, None]) & (columns < self.left[:, None] + self.side)
        return (down[:, :, None] & across[:, None, :])[:, None]


class LaVAN(Attack):
    """A patch of free pixels that replaces a small square: x' = (1-m)⊙x + m⊙δ (Karmon et al. 2018; LGS, equations 2 and 3).

    Each iteration climbs the target's logit and descends the source's together. Without a goal the target is a random other
    class. An image is left alone once its target's confidence reaches `confidence`.

    Raises:
        InvalidInput: the patch does not fit the image.
    """

    name: ClassVar[str] = "lavan"
    title: ClassVar[str] = "LaVAN patch"
    summary: ClassVar[str] = "A small visible patch of free pixels, away from the object."
    paper: ClassVar[str] = "Karmon, Zoran and Goldberg 2018; LGS equations 2-3"

    area: FractionFloat = number(0.09, 0.002, 0.5, help="The share of the image that the patch covers.", step=0.005)
    iterations: int = number(200, 1, 1000, help="Gradient steps at most.", step=10, alias="steps")
    step_size: FractionFloat = number(0.05, 0.001, 1, help="Adam's step on the patch.", step=0.005)
    confidence: FractionFloat = number(0.9, 0.1, 1, help="Stop when the target is this sure.", step=0.01)
    place: Literal["border", "given"] = choice(
        "border", help="At random along the border, or at the given row and column."
    )
    row: FractionFloat = number(0.0, 0, 1, help="Given place: 0 is the top, 1 the bottom.", step=0.05)
    column: FractionFloat = number(0.0, 0, 1, help="Given place: 0 is the left, 1 the right.", step=0.05)

    def side(self, height: int, width: int) -> int:
        """The patch's side in pixels on an image of height×width."""
        side = round(sqrt(self.area * height * width))
        if side < 1 or side > min(height, width):
            raise InvalidInput(
                f"A patch of {100 * self.area:.1f} % is {side}×{side} pixels and does not fit an image of {width}×{height}; "
                "choose another area."
            )
        return side

    def place_on(self, height: int, width: int, streams: RandomStreams) -> Place:
        """Where the patch lies on each image of height×width, one a stream; the attack draws it first."""
        side = self.side(height, width)
        free = torch.tensor([height - side, width - side])
        if self.place == "given":
            top, left = (free * torch.tensor([self.row, self.column])).round().long()
            return Place(top.repeat(len(streams)), left.repeat(len(streams)), side)
        along = streams.rand(2)
        edge = streams.randint(4)  # top, bottom, left, right
        spot = (along * (free + 1)).long().minimum(free)
        top = torch.where(edge == 0, 0, torch.where(edge == 1, free[0], spot[:, 0]))
        left = torch.where(edge == 2, 0, torch.where(edge == 3, free[1], spot[:, 1]))
        return Place(top, left, side)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        streams = RandomStreams.of(images, generator)
        place = self.place_on(images.shape[2], images.shape[3], streams)
        return self.at(place, classifier, images, labels, goal, streams)

    def at(
        self,
        place: Place,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Criterion,
        streams: RandomStreams,
    ) -> Iterator[Step]:
        """The attack with each image's patch at its own place; the rest as in `iterate`."""
        count, channels, height, width = images.shape
        device = images.device
        mask = Place(place.top.to(device), place.left.to(device), place.side).mask(height, width)
        targets = goal.targets
        if targets is None:
            # Any class but the true one, each as likely: step over the true one.
            classes = len(classifier.classes)
            drawn = streams.randint(classes - 1).to(device)
            targets = drawn + (drawn >= labels).long()
        noise = streams.rand(channels, height, width).to(images)
        batch = ActiveBatch(classifier, images, labels, goal)
        batch.targets = targets
        x_adv, covered = torch.where(mask, noise, images), mask
        adam = Adam(x_adv)
        for step_index in range(self.iterations + 1):
            aims = batch.rows(targets)
            points, gradient = batch.loss_and_grad(x_adv, _lead, Criterion(aims))
            batch.merge(points)
            yield replace(batch.step(step_index, self.iterations), mask=mask)
            sure = points.logits.softmax(1).gather(1, aims[:, None])[:, 0] >= self.confidence
            going = ~batch.is_adversarial(x_adv, sure, Criterion(aims))
            batch.finish(going)
            if step_index == self.iterations or batch.finished:
                return
            if not bool(going.all()):
                x_adv, covered, gradient = x_adv[going], covered[going], gradient[going]
                adam.select(going)
            # Outside the patch the step is masked, so those pixels keep their very values.
            moved = (x_adv + adam.step(gradient, self.step_size)).clamp(0, 1)
            x_adv = torch.where(covered, moved, x_adv)


def _lead(logits: Tensor, labels: Tensor, goal: Criterion) -> Tensor:
    """The target's logit minus the source's (LGS, section 2), N."""
    assert goal.targets is not None
    return (logits.gather(1, goal.targets[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
