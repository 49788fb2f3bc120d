"""Random noise: the control that every attack has to beat."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.active import ActiveBatch
from core.attacks.base import Attack, Criterion, Step
from core.attacks.losses import margin
from core.declaration import FractionFloat, number
from core.models.classifier import Classifier
from core.random_streams import RandomStreams


class _Noise(Attack):
    """Draws noise, adds it, cuts at [0, 1], and keeps the draw that serves the attacker best; it looks at no gradient."""

    single_step: ClassVar[bool] = True
    threat: ClassVar[Literal["white_box", "score_based", "none"]] = "none"

    trials: int = number(1, 1, 1000, help="How many trials; the best one counts.", step=1, slider_max=50)

    @abstractmethod
    def draw(self, shape: torch.Size, streams: RandomStreams) -> Tensor:
        """One draw of noise for each image, N×shape."""

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        streams = RandomStreams.of(images, generator)
        batch = ActiveBatch.start(classifier, images, labels, goal, margin)
        yield batch.step(0, self.trials)
        for step_index in range(1, self.trials + 1):
            x_adv = (images + self.draw(images.shape[1:], streams).to(images)).clamp(0, 1)
            points = batch.evaluate(x_adv, margin)
            better = points.loss > batch.best.loss
            # The first draw replaces the clean image whatever it did: the control is noise, not no noise.
            batch.merge(points, None if step_index == 1 else better)
            yield batch.step(step_index, self.trials)


class UniformNoise(_Noise):
    """Each value moves by a number drawn evenly from [-eps, eps]: the control beside L∞ attacks (DKN, algorithm 1)."""

    name: ClassVar[str] = "uniform_noise"
    title: ClassVar[str] = "Uniform noise"
    summary: ClassVar[str] = "Random noise of the same size as an L∞ attack: the control."
    paper: ClassVar[str] = "DKN, algorithm 1"

    eps: FractionFloat = number(
        8 / 255, 0, 1, help="How far each value may move (L∞).", step=1 / 255, slider_max=64 / 255, unit="/255"
    )

    def draw(self, shape: torch.Size, streams: RandomStreams) -> Tensor:
        return (streams.rand(*shape) * 2 - 1) * self.eps


class GaussianNoise(_Noise):
    """Each value moves by a normal number with standard deviation sigma: the control beside L2 attacks."""

    name: ClassVar[str] = "gaussian_noise"
    title: ClassVar[str] = "Gaussian noise"
    summary: ClassVar[str] = "Normal noise: the control beside L2 attacks."
    paper: ClassVar[str] = "A control"

    sigma: FractionFloat = number(
        8 / 255, 0, 1, help="The noise's standard deviation.", step=1 / 255, slider_max=64 / 255, unit="/255"
    )

    def draw(self, shape: torch.Size, streams: RandomStreams) -> Tensor:
        return streams.randn(*shape) * self.sigma
