"""Randomized smoothing (Cohen et al. 2019): what a classifier says of most noisy copies of an image, and how far that holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.certify.base import Certificate, Certified, Run
from core.declaration import FractionFloat, number
from core.inputs import check_logits
from core.models.classifier import Classifier
from core.random_streams import RandomStreams

BLOCK = 64  # noisy copies drawn at once of one image: what it draws must not depend on how many are classified together


class Smoothing(Certificate):
    """The class that a classifier gives to most noisy copies of an image, and an L2 radius in which it stays (Cohen et al. 2019).

    `predicted` is the likeliest class of `selection` copies; of `samples` further ones the share of that class gives a lower bound
    p of its probability with confidence 1 - alpha (Clopper and Pearson 1934). The radius is sigma·Φ⁻¹(p); with p ≤ 1/2 it abstains.
    The promise is about the smoothed classifier, which answers with the likeliest class under noise, not about the classifier itself.
    Noise goes beyond [0, 1] as in the paper; a system of several parts, whose defenses take images in [0, 1], gets it cut to that,
    which makes the cut a part of the classifier that is smoothed.
    """

    name: ClassVar[str] = "smoothing"
    title: ClassVar[str] = "Randomized smoothing"
    summary: ClassVar[str] = "The class of most noisy copies, with a radius that holds with high confidence."
    paper: ClassVar[str] = "Cohen et al. 2019, theorem 1 and section 3.2"
    threat_model: ClassVar[str] = "Any change of the image whose L2 length is at most the certified radius."
    subject: ClassVar[str] = "the smoothed classifier, the likeliest class under noise"
    unit: ClassVar[str] = "L2 on images in [0, 1]"

    sigma: FractionFloat = number(
        0.25, 0.001, 4, help="The standard deviation of the noise on values in [0, 1].", step=0.01, slider_max=1
    )
    samples: int = number(
        10_000, 10, 1_000_000, help="Noisy copies that the radius is based on.", step=100, slider_max=20_000
    )
    selection: int = number(100, 1, 100_000, help="Noisy copies that choose the class.", step=10, slider_max=500)
    alpha: FractionFloat = number(
        0.001,
        1e-9,
        0.5,
        help="The probability with which the radius of an image may be wrong.",
        step=0.001,
        slider_max=0.1,
    )
    batch: int = number(512, 1, 8192, help="Noisy copies classified together.", step=64, slider_max=2048)

    def certify(self, classifier: Classifier, images: Tensor, labels: Tensor, run: Run) -> Certified | None:
        images = images.detach().cpu().float()
        streams = RandomStreams.of(images, run.generator)
        total, done = len(images) * (self.selection + self.samples), 0
        counts = []
        for count in (self.selection, self.samples):
            votes = torch.zeros(len(images), len(classifier.classes), dtype=torch.int64)
            for part in self._votes(classifier, images, streams, count):
                if run.stopped(done, total):
                    return None
                votes += part
                done += int(part.sum())
            counts.append(votes)
        chosen = counts[0].argmax(1)
        lower = clopper_pearson(counts[1].gather(1, chosen[:, None])[:, 0], self.samples, self.alpha)
        sure = lower > 0.5
        predicted = torch.where(sure, chosen, -1)
        radius = torch.where(sure, self.sigma * torch.special.ndtri(torch.where(sure, lower, 0.75)), 0.0)
        return Certified(
            predicted=predicted,
            certified=predicted == labels.cpu(),
            margin=torch.full((len(images),), torch.nan, dtype=torch.float64),
            radius=radius,
            unit=self.unit,
        )

    @torch.no_grad()
    def _votes(self, classifier: Classifier, images: Tensor, streams: RandomStreams, count: int) -> Iterator[Tensor]:
        """How often each class is seen in the next `count` noisy copies of each image, N×K at a time; they add up to N·count."""
        blocks = -(-count // BLOCK)
        step = max(1, self.batch // BLOCK)
        for start in range(0, len(images) * blocks, step):
            places = (divmod(place, blocks) for place in range(start, min(start + step, len(images) * blocks)))
            items = [(n, min(BLOCK, count - BLOCK * block)) for n, block in places]
            owner = torch.tensor([n for n, size in items for _ in range(size)])
            noise = torch.cat([self._noise(streams, n, size, images.shape[1:]) for n, size in items])
            votes = torch.zeros(len(images), len(classifier.classes), dtype=torch.int64)
            for who, change in zip(torch.split(owner, self.batch), torch.split(noise, self.batch), strict=True):
                logits = classifier(self._within(classifier, images[who] + change).to(classifier.device))
                check_logits(logits)
                votes.index_put_(
                    (who, logits.argmax(1).cpu()), torch.ones(len(who), dtype=torch.int64), accumulate=True
                )
            yield votes

    def _noise(self, streams: RandomStreams, image: int, size: int, shape: torch.Size) -> Tensor:
        """The first `size` of the image's next block of noise."""
        return self.sigma * streams.at(torch.tensor([image])).randn(BLOCK, *shape)[0, :size]

    def _within(self, classifier: Classifier, noisy: Tensor) -> Tensor:
        """The noisy copies as the classifier takes them."""
        return noisy if type(classifier) is Classifier else noisy.clamp(0, 1)


def clopper_pearson(successes: Tensor, count: int, alpha: float) -> Tensor:
    """The lower bound of a probability with confidence 1 - alpha, of successes N in `count` trials; float64 N.

    Clopper and Pearson 1934, one-sided.
    """
    from scipy.stats import beta  # here: scipy.stats takes half a second to import

    hits = successes.double().numpy()
    bounds = beta.ppf(alpha, hits, count - hits + 1)
    return torch.where(successes > 0, torch.from_numpy(bounds), 0.0)
