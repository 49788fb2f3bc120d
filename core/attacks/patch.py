"""The universal adversarial patch: one print that works on any image, at any place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import pi, sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.adam import Adam
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import gradient_of
from core.declaration import FractionFloat, choice, number
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.random_streams import RandomStreams
from core.warp import bilinear

Shape = Literal["disc", "square"]


@dataclass(frozen=True)
class Placing:
    """How the patch lies on each of N images: the row and column of its middle in pixels, its angle in radians counter-clockwise,
    the length of a patch pixel in image pixels, and a factor on its brightness; each a float tensor N."""

    row: Tensor
    column: Tensor
    angle: Tensor
    scale: Tensor
    brightness: Tensor

    @staticmethod
    def at(row: Tensor, column: Tensor, angle: float = 0.0, scale: float = 1.0, brightness: float = 1.0) -> Placing:
        """The same angle, scale and brightness for all."""
        return Placing(row, column, *(torch.full_like(row, value) for value in (angle, scale, brightness)))


def stencil(side: int, shape: Shape) -> Tensor:
    """Which pixels of a side×side patch are printed: float 1×side×side of zeros and ones."""
    if shape == "square":
        return torch.ones(1, side, side)
    axis = torch.arange(side) - (side - 1) / 2
    return ((axis[:, None] ** 2 + axis[None, :] ** 2) <= (side / 2) ** 2).float()[None]


def stick(images: Tensor, patch: Tensor, mask: Tensor, how: Placing) -> tuple[Tensor, Tensor]:
    """The patch (C×S×S, printed where mask 1×S×S is 1) stuck onto images N×C×H×W (Brown et al. 2017, the operator A(p, x, l, t)).

    At 0, 90 and 180 degrees, scale 1 and whole places, patch pixels fall on image pixels and are copied exactly.

    Returns:
        the images, and how far each pixel is covered: N×1×H×W in [0, 1].
    """
    n, _, height, width = images.shape
    side = patch.shape[-1]
    cos, sin = (_clean(torch.cos(how.angle)), _clean(torch.sin(how.angle)))
    down = torch.arange(height, device=images.device).view(1, -1, 1) - how.row.view(-1, 1, 1)
    across = torch.arange(width, device=images.device).view(1, 1, -1) - how.column.view(-1, 1, 1)
    turn = [value.view(-1, 1, 1) / how.scale.view(-1, 1, 1) for value in (cos, sin)]
    middle = (side - 1) / 2
    # From the image back to the patch: the turn undone.
    rows = turn[0] * down + turn[1] * across + middle
    columns = -turn[1] * down + turn[0] * across + middle
    both = torch.cat([patch, mask]).expand(n, -1, -1, -1)
    sampled = bilinear(both, rows, columns, outside=0.0)
    # Dividing by the cover undoes the mixing with the nothing beyond the edge.
    cover = sampled[:, -1:]
    color = sampled[:, :-1] / cover.clamp(min=1e-6)
    lit = (color * how.brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    return images * (1 - cover) + lit * cover, cover


def _clean(value: Tensor) -> Tensor:
    """Cosines and sines of right angles made exact."""
    return torch.where((value - value.round()).abs() < 1e-6, value.round(), value)


class UniversalPatch(Attack):
    """One patch for all images, places and angles: max E[log p(target | A(p, x, l, t))] (Brown et al. 2017; LGS, equation 4).

    The images handed in are the ones it is trained on; each comes back with the patch at a place of its own. It can then be
    stuck onto any other image with `stick(images, result.extras['patch'], result.extras['stencil'], ...)`. Without a goal
    the target is a random class that is none of the images'.

    Raises:
        InvalidInput: different targets for different images; a patch larger than the image.
    """

    name: ClassVar[str] = "universal_patch"
    title: ClassVar[str] = "Adversarial patch"
    summary: ClassVar[str] = "One printable patch for every image and place, trained over random transformations."
    paper: ClassVar[str] = "Brown et al. 2017; LGS equation 4"
    universal: ClassVar[bool] = True

    area: FractionFloat = number(0.1, 0.005, 0.5, help="The share of the image that the patch covers.", step=0.005)
    iterations: int = number(200, 1, 5000, help="Gradient steps.", step=10, slider_max=1000, alias="steps")
    shape: Literal["disc", "square"] = choice("disc", help="The outline of the patch.")
    step_size: FractionFloat = number(0.05, 0.001, 1, help="Adam's step on the patch.", step=0.005)
    batch: int = number(
        16, 1, 256, help="How many random transformations each step averages over.", step=1, slider_max=64
    )
    max_rotation: FractionFloat = number(22.5, 0, 180, help="The largest angle in training.", step=2.5, unit="°")
    max_scale: FractionFloat = number(1.3, 1, 3, help="The largest enlargement and shrinking in training.", step=0.1)
    max_brightness: FractionFloat = number(0.2, 0, 0.9, help="The largest change of brightness in training.", step=0.05)
    place: Literal["anywhere", "given"] = choice(
        "anywhere", help="Where it lies at the end: anywhere inside, or at the given row and column."
    )
    row: FractionFloat = number(0.5, 0, 1, help="Given place: 0 is the top, 1 the bottom.", step=0.05)
    column: FractionFloat = number(0.5, 0, 1, help="Given place: 0 is the left, 1 the right.", step=0.05)

    def side(self, height: int, width: int) -> int:
        """The patch's side in pixels, so that its printed part covers `area` of a height×width image."""
        covered = self.area * height * width * (4 / pi if self.shape == "disc" else 1)
        side = round(sqrt(covered))
        if side < 2 or side > min(height, width):
            raise InvalidInput(
                f"A {self.shape} of {100 * self.area:.1f} % would be {side} pixels wide and does not fit an image of {width}×{height}; "
                "choose another area."
            )
        return side

    def placings(self, side: int, height: int, width: int, streams: RandomStreams) -> Placing:
        """A random transformation a stream as in training, the patch's middle inside the image by half its side where it fits."""
        angle = _uniform(-self.max_rotation, self.max_rotation, streams) * (pi / 180)
        scale = _uniform(-1, 1, streams)
        scale = torch.tensor(self.max_scale).log().mul(scale).exp().clamp(max=min(height, width) / side)
        margin = side * scale / 2
        row = margin + streams.rand() * (height - 2 * margin).clamp(min=0) - 0.5
        column = margin + streams.rand() * (width - 2 * margin).clamp(min=0) - 0.5
        brightness = _uniform(1 - self.max_brightness, 1 + self.max_brightness, streams)
        return Placing(row, column, angle, scale, brightness)

    def final(self, side: int, height: int, width: int, streams: RandomStreams) -> Placing:
        """Upright, at true size and light: where the patch lies on the images that are returned."""
        free = torch.tensor([height - side, width - side])
        if self.place == "given":
            spot = (free * torch.tensor([self.row, self.column])).round().expand(len(streams), 2)
        else:
            spot = (streams.rand(2) * (free + 1)).floor().minimum(free)
        return Placing.at(spot[:, 0] + (side - 1) / 2, spot[:, 1] + (side - 1) / 2)

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        count, channels, height, width = images.shape
        device = images.device
        side = self.side(height, width)
        target = _one_target(goal, labels, len(classifier.classes), generator)
        mask = stencil(side, self.shape).to(images)
        patch = torch.rand(channels, side, side, generator=generator).to(images)
        adam = Adam(patch)
        where = _moved(self.final(side, height, width, RandomStreams.of(images, generator)), device)
        training = RandomStreams.numbered(self.batch, generator)
        # All images are judged so seldom that it costs less than the training does, however many there are.
        every = max(1, count // 4)
        judged = self._judged(0, classifier, images, labels, goal, patch, mask, where, target)
        for step_index in range(self.iterations + 1):
            if step_index and (step_index % every == 0 or step_index == self.iterations):
                judged = self._judged(step_index, classifier, images, labels, goal, patch, mask, where, target)
            # Between two evaluations only the number is new.
            yield judged if judged.number == step_index else replace(judged, number=step_index)
            if step_index == self.iterations:
                return
            chosen = torch.randint(count, (self.batch,), generator=generator).to(device)
            how = _moved(self.placings(side, height, width, training), device)
            with torch.enable_grad():
                leaf = patch.detach().requires_grad_(True)
                stuck, _ = stick(images[chosen], leaf, mask, how)
                gradient = gradient_of(classifier(stuck).log_softmax(1)[:, target].mean(), leaf)
            patch = (patch + adam.step(gradient, self.step_size) * mask).clamp(0, 1)

    def _judged(
        self,
        step_index: int,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Criterion,
        patch: Tensor,
        mask: Tensor,
        where: Placing,
        target: int,
    ) -> Step:
        """What the patch does on the images that it is trained on."""
        with torch.no_grad():
            shown, cover = stick(images, patch, mask, where)
            logits = classifier(shown)
        return Step(
            step_index,
            self.iterations,
            shown,
            logits,
            logits.log_softmax(1)[:, target],
            goal.satisfied(logits, labels),
            targets=torch.full_like(labels, target),
            mask=cover > 0,
            extras={"patch": patch, "stencil": mask},
        )


def _one_target(goal: Criterion, labels: Tensor, classes: int, generator: torch.Generator) -> int:
    if goal.targets is not None:
        if bool((goal.targets != goal.targets[0]).any()):
            raise InvalidInput("A universal patch has one target for all images; hand in the same class for each.")
        return int(goal.targets[0])
    own = set(labels.tolist())
    free = [label for label in range(classes) if label not in own] or list(range(classes))
    return free[int(torch.randint(len(free), (1,), generator=generator))]


def _uniform(low: float, high: float, streams: RandomStreams) -> Tensor:
    return streams.rand() * (high - low) + low


def _moved(how: Placing, device: torch.device) -> Placing:
    return Placing(*(value.to(device) for value in (how.row, how.column, how.angle, how.scale, how.brightness)))
