"""Randomized smoothing: its bound against scipy, a linear classifier in closed form, and attacks inside the radius."""

from __future__ import annotations

from math import comb, sqrt

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from core import Guarded, attacks, certify, defenses
from core.certify.smoothing import clopper_pearson
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import Progress

SIZE, SIGMA = 6, 0.25


def linear(seed: int = 0) -> tuple[Classifier, Tensor]:
    """Two classes with the border Σ w (x - 0.5) = 0, and w / ‖w‖."""
    torch.manual_seed(seed)
    layer = nn.Linear(SIZE * SIZE, 2)
    row = torch.randn(SIZE * SIZE)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([row, -row]))
        layer.bias.copy_(torch.stack([-row.sum() / 2, row.sum() / 2]))
    model = Classifier.wrap(nn.Sequential(nn.Flatten(), layer), classes=2, size=SIZE, channels=1)
    return model, row / row.norm()


def at_distances(normal: Tensor, distances: tuple[float, ...]) -> Tensor:
    """Images whose signed distance to the border is that."""
    return 0.5 + torch.tensor(distances)[:, None, None, None] * normal.view(1, 1, SIZE, SIZE)


def network(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 16), nn.Tanh(), nn.Linear(16, 3))
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=0.5)
    return Classifier.wrap(layers, classes=3, size=SIZE, channels=1, mean=0.5)


def random_images(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_the_lower_bound_is_that_of_scipy_and_of_the_definition() -> None:
    hits, count, alpha = torch.tensor([0, 1, 17, 40, 49, 50]), 50, 0.01
    found = clopper_pearson(hits, count, alpha)
    for k, low in zip(hits.tolist(), found.tolist(), strict=True):
        expected = binomtest(k, count, alternative="greater").proportion_ci(1 - alpha, method="exact").low
        assert low == pytest.approx(float(expected), abs=1e-9)
        if k:  # the probability at which k or more successes are as rare as alpha
            tail = sum(comb(count, j) * low**j * (1 - low) ** (count - j) for j in range(k, count + 1))
            assert tail == pytest.approx(alpha, rel=1e-6)


def test_a_linear_classifier_has_the_radius_of_its_closed_form() -> None:
    """Cohen et al. 2019, proposition 4: the radius is the distance to the border."""
    model, normal = linear()
    distances = (0.05, 0.1, 0.2, 0.4, -0.15)
    batch = at_distances(normal, distances)
    labels = torch.tensor([0, 0, 0, 0, 1])
    promise = certify.Smoothing(sigma=SIGMA, samples=20_000)(model, batch, labels)
    assert promise is not None and promise.unit == "L2 on images in [0, 1]"
    assert promise.certified.all() and torch.equal(promise.predicted, labels) and promise.margin.isnan().all()
    exact = torch.tensor(distances).abs().double()
    assert bool((promise.radius <= exact).all())
    assert bool((promise.radius >= 0.9 * exact - 0.004).all())


def test_it_abstains_where_no_class_is_sure() -> None:
    model, normal = linear()
    batch = at_distances(normal, (0.0005, 0.3))
    promise = certify.Smoothing(sigma=SIGMA, samples=1000)(model, batch, torch.tensor([0, 0]))
    assert promise is not None
    assert promise.predicted.tolist() == [-1, 0] and promise.certified.tolist() == [False, True]
    assert float(promise.radius[0]) == 0 and float(promise.radius[1]) > 0.1


def test_a_wrong_class_is_not_certified() -> None:
    model, normal = linear()
    promise = certify.Smoothing(samples=500)(model, at_distances(normal, (0.3,)), torch.tensor([1]))
    assert promise is not None and promise.predicted.tolist() == [0] and not bool(promise.certified[0])


class Smoothed(nn.Module):
    """The mean of the softmax under noise that stays the same, so that an attack has its gradient."""

    def __init__(self, classifier: Classifier, sigma: float, copies: int) -> None:
        super().__init__()
        self.inner = classifier
        noise = torch.randn(copies, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(9))
        self.register_buffer("noise", sigma * noise)

    def forward(self, x: Tensor) -> Tensor:
        noisy = (x[:, None] + self.noise[None]).flatten(0, 1)  # type: ignore[index]
        return self.inner(noisy).softmax(1).view(len(x), -1, 3).mean(1).log()  # type: ignore[no-any-return]


def test_no_attack_enters_the_certified_radius() -> None:
    """PGD in L2 on the smoothed classifier; what it finds is judged with many other samples."""
    model, batch = network(), random_images(12)
    smoothing = certify.Smoothing(sigma=SIGMA, samples=4000)
    promise = smoothing(model, batch, torch.zeros(12, dtype=torch.int64))
    assert promise is not None
    sure = promise.predicted >= 0
    assert int(sure.sum()) > 6
    attacked = Classifier.wrap(Smoothed(model, SIGMA, 100), classes=3, size=SIZE, channels=1)
    changed = 0
    for number in sure.nonzero()[:, 0].tolist():
        image, seen, radius = batch[number][None], promise.predicted[number][None], float(promise.radius[number])
        for share in (1.0, 6.0):
            attack = attacks.PGD(eps=radius * share, norm="l2", iterations=20, loss="margin")
            moved = attack(attacked, image, seen, generator=torch.Generator().manual_seed(0)).images
            if share == 1.0:
                delta = moved - image
                moved = image + delta * min(1.0, radius / max(float(delta.norm()), 1e-12))
            noise = SIGMA * torch.randn(20_000, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(number))
            with torch.no_grad():
                votes = torch.bincount(model(moved + noise).argmax(1), minlength=3)
            if share == 1.0:
                assert int(votes.argmax()) == int(seen), number
            else:
                changed += int(votes.argmax()) != int(seen)
    assert changed > 0, "farther out the same attack changes the class"


def test_an_image_gets_the_same_in_any_batch() -> None:
    model, batch = network(), random_images(5)
    labels = torch.zeros(5, dtype=torch.int64)
    whole = certify.Smoothing(samples=700, selection=70)(model, batch, labels)
    assert whole is not None
    for size in (1, 50, 64, 1000):
        other = certify.Smoothing(samples=700, selection=70, batch=size)(model, batch, labels)
        assert other is not None
        assert torch.equal(other.radius, whole.radius) and torch.equal(other.predicted, whole.predicted)
    alone = certify.Smoothing(samples=700, selection=70)(model, batch[3:4], labels[:1])
    assert alone is not None and float(alone.radius[0]) == float(whole.radius[3])
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    again, fresh = (certify.Smoothing(samples=700, selection=70)(model, batch, labels, generator=g) for g in seeds)
    assert again is not None and fresh is not None
    assert torch.equal(again.radius, whole.radius) and not torch.equal(fresh.radius, whole.radius)


def test_its_radius_is_the_papers_from_the_votes() -> None:
    """A classifier that always says the same: all samples agree, so p = alpha^(1/n)."""
    layer = nn.Linear(SIZE * SIZE, 2)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.0, 1.0]))
    model = Classifier.wrap(nn.Sequential(nn.Flatten(), layer), classes=2, size=SIZE, channels=1)
    promise = certify.Smoothing(sigma=0.5, samples=100, alpha=0.01)(model, random_images(2), torch.tensor([1, 1]))
    assert promise is not None
    expected = 0.5 * sqrt(2) * float(torch.special.erfinv(torch.tensor(2 * 0.01 ** (1 / 100) - 1, dtype=torch.float64)))
    assert promise.radius.tolist() == pytest.approx([expected, expected])


def test_it_takes_a_classifier_behind_a_defense() -> None:
    guarded = Guarded(network(), defenses.BitDepth(bits=3))
    promise = certify.Smoothing(samples=200)(guarded, random_images(2), torch.tensor([0, 0]))
    assert promise is not None and len(promise.radius) == 2


def test_it_stops_and_says_how_far_it_is() -> None:
    heard: list[Progress] = []

    def on_progress(progress: Progress) -> bool:
        heard.append(progress)
        return len(heard) == 5

    model, batch = network(), random_images(4)
    assert (
        certify.Smoothing(samples=1000)(model, batch, torch.zeros(4, dtype=torch.int64), on_progress=on_progress)
        is None
    )
    assert len(heard) == 5 and heard[-1].total == 4 * 1100 and heard[-1].done > heard[0].done


def test_bad_values_get_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="sigma"):
        certify.Smoothing(sigma=0.0)
    with pytest.raises(InvalidInput, match="alpha"):
        certify.Smoothing(alpha=0.7)
    assert certify.Smoothing.fits(network()) is None and "smoothing" in certify.names()
