"""Bounds through the layers: against a loop over neurons, closed forms, and attacks inside the ball."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core import attacks, certify, domains
from core.certify.chain import Chain, chain_of
from core.certify.crown import MARGINS, crown_margins
from core.certify.interval import image_box, interval_margins
from core.certify.layers import MaxPool
from core.models.classifier import Classifier
from core.progress import Progress

SIZE, CLASSES = 8, 4


def classifier(*layers: nn.Module, seed: int = 0, size: int = SIZE) -> Classifier:
    """Random weights behind a normalization."""
    torch.manual_seed(seed)
    network = nn.Sequential(*layers)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.dim() == 1 else 1.2 / parameter[0].numel() ** 0.5)
    return Classifier.wrap(network, classes=CLASSES, size=size, channels=1, mean=0.3, std=0.5)


def small(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return classifier(
        *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, CLASSES)),
        seed=seed,
    )


def images(count: int, size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def sees(model: Classifier, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return model(batch).argmax(1)


def wrong_margins(margins: Tensor, labels: Tensor) -> Tensor:
    """The smallest margin, N."""
    return margins.scatter(1, labels[:, None], torch.inf).amin(1)


def true_margins(model: Classifier, batch: Tensor, labels: Tensor) -> Tensor:
    """f_y - f_k in float64, N×K."""
    logits = nn.Module.__call__(model.network.double(), (batch.double() - 0.3) / 0.5)
    return logits.gather(1, labels[:, None]) - logits


def naive_interval(layers: Chain, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of the logits of one input, neuron by neuron: each output is the sum of what each input can add at least and at most."""
    for layer in layers:
        if isinstance(layer, MaxPool) or type(layer).__name__ == "ReLU":
            low, high = layer(low[None])[0], layer(high[None])[0]
            continue
        count = low.numel()
        zero = layer(torch.zeros(1, *layer.inputs, dtype=torch.float64))[0]
        columns = torch.stack([layer(one.view(1, *layer.inputs))[0] - zero for one in torch.eye(count).double()])
        shape = zero.shape
        bottom, top = zero.flatten().clone(), zero.flatten().clone()
        for out in range(bottom.numel()):
            for weight, least, most in zip(columns.flatten(1)[:, out], low.flatten(), high.flatten(), strict=True):
                bottom[out] += min(weight * least, weight * most)
                top[out] += max(weight * least, weight * most)
        low, high = bottom.view(shape), top.view(shape)
    return low, high


def test_intervals_are_those_of_a_loop_over_neurons() -> None:
    model = classifier(
        *(
            nn.Conv2d(1, 2, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2, 3),
            nn.ReLU(),
            nn.Linear(3, CLASSES),
        ),
        size=4,
    )
    batch, eps = images(1, 4), torch.tensor([0.07])
    layers = chain_of(model)
    box = image_box(batch, eps)
    low, high = naive_interval(layers[:-1], box.low[0], box.high[0])
    last = layers[-1]
    weight, bias = last.weight, last.bias  # type: ignore[attr-defined]
    found = interval_margins(layers, box, torch.tensor([2]))[0]
    for k in range(CLASSES):
        row = weight[2] - weight[k]
        expected = bias[2] - bias[k] + sum(min(w * a, w * b) for w, a, b in zip(row, low, high, strict=True))
        assert float(found[k]) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("bound", ["interval", "crown", "best"])
def test_a_linear_network_has_its_exact_margin(bound: str) -> None:
    """min over the box of w·x + b: each value goes to the side that the sign of w says, cut to [0, 1]."""
    model = classifier(nn.Flatten(), nn.Linear(SIZE * SIZE, CLASSES))
    batch, eps = images(3), 0.2
    labels = sees(model, batch)
    last = chain_of(model)[-1]
    found = MARGINS[bound](chain_of(model), image_box(batch, torch.full((3,), eps)), labels)
    low, high = (batch.double() - eps).clamp(0, 1).flatten(1), (batch.double() + eps).clamp(0, 1).flatten(1)
    weight, bias = last.weight / 0.5, last.bias - last.weight.sum(1) * 0.3 / 0.5  # type: ignore[attr-defined]
    for n in range(3):
        row = weight[labels[n]] - weight
        corner = torch.where(row > 0, low[n], high[n])
        assert torch.allclose(found[n], (row * corner).sum(1) + bias[labels[n]] - bias, atol=1e-9)


@pytest.mark.parametrize("bound", ["interval", "crown", "best"])
def test_bounds_fall_with_eps_and_are_exact_at_none(bound: str) -> None:
    model = small()
    batch = images(6)
    labels = sees(model, batch)
    chain = chain_of(model)
    rows = [
        wrong_margins(MARGINS[bound](chain, image_box(batch, torch.full((6,), e)), labels), labels)
        for e in (0, 0.01, 0.03, 0.1)
    ]
    assert torch.allclose(rows[0], wrong_margins(true_margins(model, batch, labels), labels), atol=1e-9)
    for wide, narrow in zip(rows[1:], rows, strict=False):
        assert bool((wide < narrow).all())


def test_linear_bounds_are_tighter_than_intervals() -> None:
    gain, better = 0.0, 0
    for seed in range(3):
        model, batch = small(seed), images(8)
        labels = sees(model, batch)
        box, chain = image_box(batch, torch.full((8,), 0.03)), chain_of(model)
        interval, crown, best = (
            wrong_margins(MARGINS[b](chain, box, labels), labels) for b in ("interval", "crown", "best")
        )
        assert bool((best >= torch.maximum(interval, crown) - 1e-12).all())
        gain += float((crown - interval).mean())
        better += int((crown > interval).sum())
    assert better >= 20 and gain > 0.5


@pytest.mark.parametrize("bound", ["interval", "crown", "best"])
def test_no_corner_and_no_random_point_of_the_ball_is_below_the_bound(bound: str) -> None:
    generator = torch.Generator().manual_seed(3)
    for seed in range(4):
        model, batch = small(seed), images(10, seed=seed)
        labels = sees(model, batch)
        for eps in (0.02, 0.2):
            bounds = MARGINS[bound](chain_of(model), image_box(batch, torch.full((10,), eps)), labels)
            for _ in range(40):
                change = torch.rand(batch.shape, generator=generator, dtype=torch.float64) * 2 - 1
                change = change.sign() if _ % 2 else change
                found = true_margins(model, (batch.double() + eps * change).clamp(0, 1), labels)
                assert bool((found >= bounds - 1e-9).all())


def attacked_margins(model: Classifier, batch: Tensor, labels: Tensor, eps: float, steps: int = 20) -> Tensor:
    """The smallest margin that two attacks reach in the ball, N."""
    found = torch.full((len(batch),), torch.inf, dtype=torch.float64)
    for attack in (attacks.PGD(eps=eps, iterations=steps, loss="margin"), attacks.APGDCE(eps=eps, iterations=steps)):
        moved = attack(model, batch, labels, generator=torch.Generator().manual_seed(0)).images
        moved = (batch + (moved - batch).clamp(-eps, eps)).clamp(0, 1)
        with torch.no_grad():
            logits = model(moved).double()
        margin = logits.gather(1, labels[:, None]) - logits
        found = torch.minimum(found, wrong_margins(margin, labels))
    return found


def test_no_attack_is_below_the_bound_of_200_images() -> None:
    model, batch = small(1), images(200, seed=5)
    labels = sees(model, batch)
    promise = certify.LinfCertificate(eps=0.07, find_radius=False)(model, batch, labels)
    assert promise is not None
    assert 20 < int(promise.certified.sum()) < 200
    found = attacked_margins(model, batch, labels, 0.07)
    assert bool((found >= promise.margin - 1e-4).all())
    assert bool((found[promise.certified] > 0).all())
    assert bool((found < promise.margin + 1).any()), "the bound and the attack are about the same ball"


def test_the_shipped_robust_network_keeps_its_promise(data: Path) -> None:
    domain = domains.get("mnist")
    model = domain.classifier("cnn_robust")
    batch, labels = domain.sample(200, seed=0)
    eps = 0.003
    promise = certify.LinfCertificate(eps=eps, bound="interval", find_radius=False)(model, batch, labels)
    assert promise is not None and int(promise.certified.sum()) > 50
    found = attacked_margins(model, batch, promise.predicted, eps, steps=7)
    assert bool((found >= promise.margin - 1e-4).all()) and bool((found[promise.certified] > 0).all())


def test_a_radius_is_certified_and_near_the_first_eps_that_is_not() -> None:
    model, batch = small(1), images(6)
    labels = sees(model, batch)
    for bound, precision in (("interval", 2.0**-15), ("best", 2.0**-4)):
        promise = certify.LinfCertificate(eps=0.02, bound=bound)(model, batch, labels)
        assert promise is not None and bool((promise.radius > 0).all()) and promise.unit == "L∞"
        for share, holds in ((1.0, True), (1 + precision, False)):
            box = image_box(batch, promise.radius * share)
            margin = wrong_margins(MARGINS[bound](chain_of(model), box, labels), labels)
            assert bool(((margin > 0) == holds).all()), (bound, share)
        assert torch.equal(promise.radius >= 0.02, promise.certified)


def test_a_wrong_class_is_never_certified() -> None:
    model, batch = small(), images(4)
    labels = (sees(model, batch) + 1) % CLASSES
    promise = certify.LinfCertificate(eps=0.0, find_radius=False)(model, batch, labels)
    assert promise is not None and not bool(promise.certified.any()) and bool((promise.margin > 0).all())
    assert bool(promise.radius.isnan().all())


def test_it_stops_and_says_how_far_it_is() -> None:
    model, batch = small(), images(9)
    heard: list[Progress] = []

    def on_progress(progress: Progress) -> bool:
        heard.append(progress)
        return len(heard) == 4

    assert certify.LinfCertificate()(model, batch, sees(model, batch), on_progress=on_progress) is None
    assert len(heard) == 4 and all(one.total == 900 for one in heard)
    assert [one.done for one in heard] == sorted(one.done for one in heard)


def test_a_layer_with_many_neurons_keeps_its_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small(), images(4)
    labels = sees(model, batch)
    box, chain = image_box(batch, torch.full((4,), 0.03)), chain_of(model)
    full = wrong_margins(crown_margins(chain, box, labels), labels)
    monkeypatch.setattr("core.certify.crown.MOST_WORK", 0)
    loose = wrong_margins(crown_margins(chain, box, labels), labels)
    assert bool((loose <= full + 1e-9).all()) and float((full - loose).max()) > 0.01
    monkeypatch.setattr("core.certify.crown.MOST_WORK", 10**9)
    monkeypatch.setattr("core.certify.crown.MOST_VALUES", 1)
    assert torch.allclose(wrong_margins(crown_margins(chain, box, labels), labels), full, atol=1e-9), (
        "in small parts, the same"
    )
