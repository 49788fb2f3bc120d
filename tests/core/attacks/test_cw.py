"""C&W (Carlini and Wagner 2017) against its algorithm written out and distances that are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core import domains
from core.attacks import CW, Criterion
from core.attacks.active import ActiveBatch
from core.attacks.cw import BISECTIONS
from core.attacks.losses import margin
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier, curved, random_images
from tests.core.attacks.test_shortest import lengths, two_sided, unrounded

THOROUGH = {"binary_search_steps": 9, "iterations": 200, "learning_rate": 0.01, "initial_c": 0.01, "rounding": False}


def test_cw_finds_the_distance_to_a_flat_boundary() -> None:
    lead = 0.3
    model, x, _ = two_sided(lead=lead)
    y = torch.zeros(4, dtype=torch.int64)
    result = unrounded(CW(**THOROUGH), model, x, y)
    assert bool(result.fooled.all())
    found = lengths(result.images, x)
    assert bool((found >= lead * (1 - 1e-4)).all()) and bool((found <= lead * 1.02).all())


def test_cw_confidence_leaves_a_lead_of_kappa() -> None:
    model, x, _ = two_sided()
    result = unrounded(CW(confidence=0.2, **THOROUGH), model, x, torch.zeros(4, dtype=torch.int64))
    with torch.no_grad():
        logits = model(result.images)
    lead = logits[:, 1] - logits[:, 0]
    assert bool((lead >= 0.2 - 1e-4).all()) and bool((lead <= 0.25).all())


def test_cw_searches_c_for_each_image_by_itself() -> None:
    model, x = curved(), random_images(6)
    with torch.no_grad():
        y = model(x).argmax(1)
    attack = CW(binary_search_steps=6, iterations=40, rounding=False)
    together = unrounded(attack, model, x, y)
    for n in range(6):
        alone = unrounded(attack, model, x[n : n + 1], y[n : n + 1])
        assert bool(alone.fooled[0])
        assert torch.allclose(alone.images[0], together.images[n], atol=1e-4)


def test_cw_is_its_algorithm_written_out() -> None:
    """One image, with torch's own Adam and a search over c by tens and then halves, each from where the last one ended."""
    model, x = curved(seed=1), random_images(1, seed=5)
    with torch.no_grad():
        y = model(x).argmax(1)
    searches, steps, rate, c = 6, 30, 0.02, 1e-3
    low, high, best, nearest, step_size = 0.0, float("inf"), float("inf"), x, rate
    point = x
    for _ in range(searches):
        point = point.detach().clone().requires_grad_(True)
        adam, found, before = torch.optim.Adam([point], lr=step_size), False, float("inf")
        for k in range(1, steps + 1):
            logits = model(point)
            lead = logits[0, y] - logits.scatter(1, y[:, None], -torch.inf).amax(1)
            length = ((point - x) ** 2).sum()
            loss = length + c * lead.clamp(min=0).sum()
            if int(logits.argmax()) != int(y):
                found = True
                if float(length.detach()) < best:
                    best, nearest = float(length.detach()), point.detach().clone()
            if k == steps:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            point.data.clamp_(0, 1)
            if k % 10 == 0:
                if not float(loss.detach()) <= 0.9999 * before:
                    break
                before = float(loss.detach())
        low, high = (low, min(high, c)) if found else (max(low, c), high)
        c, step_size = (
            ((low + high) / 2, step_size / 2) if high < float("inf") else (c * 10, min(step_size * 5, 80 / steps**2))
        )
    shares = torch.linspace(0.9, 1, 2**5 + 1)[1:]
    with torch.no_grad():
        fools = model(x + shares.view(-1, 1, 1, 1) * (nearest - x)).argmax(1) != y
    assert bool((fools[:-1] <= fools[1:]).all())  # one crossing, so that bisection finds it
    best *= float(shares[fools][0]) ** 2
    attack = CW(binary_search_steps=searches, iterations=steps, learning_rate=rate, initial_c=1e-3, rounding=False)
    step = unrounded(attack, model, x, y)
    assert best < float("inf")
    assert float(lengths(step.images, x) ** 2) == pytest.approx(best, rel=1e-3)


def test_cw_draws_what_it_found_back_as_far_as_it_still_fools() -> None:
    lead = 0.3
    model, x, normal = two_sided(lead=lead)
    y = torch.zeros(4, dtype=torch.int64)
    crossing = torch.tensor([0.91, 0.95, 0.99, 0.5])  # the share of each change at which the class changes
    found = x + (lead / crossing * normal[:, None]).T.view(4, 3, 8, 8)
    batch = ActiveBatch(model, x, y, Criterion())
    batch.best = replace(batch.evaluate(found, margin), extras={"distance": lengths(found, x) ** 2})
    assert bool(batch.best.fooled.all())
    CW(rounding=False)._draw_back(batch)
    after = batch.best
    assert bool(after.fooled.all()) and bool((model(after.images).argmax(1) == 1).all())
    share = lengths(after.images, x) / lengths(found, x)
    piece = 0.1 / 2**BISECTIONS  # bisection looks no nearer than this, and no farther back than to 0.9 of the way
    wanted = crossing.clamp(min=0.9)
    assert bool((share >= wanted - 1e-4).all()) and bool((share <= wanted + piece + 1e-4).all())


def test_cw_ends_with_what_it_drew_back() -> None:
    model, x = curved(), random_images(6)
    with torch.no_grad():
        y = model(x).argmax(1)
    *_, before, after = CW(binary_search_steps=3, iterations=15, rounding=False).steps(model, x, y)
    assert bool(after.fooled.all()) and bool((lengths(after.images, x) <= lengths(before.images, x)).all())
    assert bool((lengths(after.images, x) < lengths(before.images, x)).any())
    with torch.no_grad():
        assert bool((model(after.images).argmax(1) != y).all())


def test_cw_more_search_is_never_longer() -> None:
    model, x = curved(), random_images(6)
    with torch.no_grad():
        y = model(x).argmax(1)
    last = torch.full((6,), torch.inf)
    for step in CW(binary_search_steps=4, iterations=40, rounding=False).steps(model, x, y):
        now = torch.where(step.fooled, lengths(step.images, x), torch.inf)
        assert bool((now <= last + 1e-6).all())
        last = now
    assert bool(last.isfinite().all())


def test_cw_presets_are_the_published_numbers_unless_chosen() -> None:
    assert CW(preset="thorough").plan() == (9, 1000, 0.003, 0.01)
    assert CW(preset="thorough", iterations=50).plan() == (9, 50, 0.003, 0.01)


@pytest.fixture(scope="module")
def digits(data_root: Path) -> Iterator[dict[str, tuple[Classifier, Tensor, Tensor]]]:
    """MNIST's two classifiers and 200 images that both recognize: backgrounds of exactly 0, strokes of exactly 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRAGE_DATA", str(data_root))
        domain = domains.get("mnist")
        images, labels = domain.sample(230)
        models = {name: domain.classifier(name) for name in ("a", "b")}
    right = torch.stack([model(images).argmax(1) == labels for model in models.values()]).all(0)
    x, y = images[right][:200], labels[right][:200]
    assert len(x) == 200 and float(((x == 0) | (x == 1)).float().mean()) > 0.7
    yield {name: (model, x, y) for name, model in models.items()}


@pytest.mark.data
@pytest.mark.parametrize(("name", "longest"), [("a", 1.5), ("b", 1.65)])
def test_cws_default_fools_images_of_values_at_0_and_1(
    digits: dict[str, tuple[Classifier, Tensor, Tensor]], name: str, longest: float
) -> None:
    """As an attack without a bound must; with tanh, which is flat there, it reached 37 of 199."""
    model, x, y = digits[name]
    x, y = x[:60], y[:60]
    result = CW()(model, x, y)
    assert bool(result.success.all())
    assert float(lengths(result.images, x)[result.success].mean()) < longest


@pytest.fixture(scope="module")
def robust(digits: dict[str, tuple[Classifier, Tensor, Tensor]]) -> tuple[Classifier, Tensor, Tensor]:
    """A small network trained on the images that PGD makes at 0.3, and images that it recognizes."""
    _, x, y = digits["a"]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    adam = torch.optim.Adam(network.parameters(), 5e-3)
    for epoch in range(60):
        eps = 0.1 * min(1.0, epoch / 30)
        point = x
        for _ in range(5):
            leaf = point.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(leaf), y), leaf)
            point = (point + eps / 3 * gradient.sign()).clamp(x - eps, x + eps).clamp(0, 1)
        adam.zero_grad()
        nn.functional.cross_entropy(network(point), y).backward()
        adam.step()
    model = Classifier.wrap(network, classes=10, size=28, channels=1)
    right = model(x).argmax(1) == y
    assert int(right.sum()) > 150
    return model, x[right], y[right]


@pytest.mark.data
def test_cw_reaches_every_image_of_a_robust_network(robust: tuple[Classifier, Tensor, Tensor]) -> None:
    model, x, y = robust
    quick = unrounded(CW(rounding=False), model, x, y)
    thorough = unrounded(CW(rounding=False, binary_search_steps=9, iterations=200, initial_c=0.01), model, x, y)
    assert bool(quick.fooled.all()) and bool(thorough.fooled.all())
    short, least = (float(lengths(step.images, x).mean()) for step in (quick, thorough))
    print(f"C&W on a robust network: mean L2 {short:.4f} quick, {least:.4f} with 18 times the iterations")
    assert short <= 1.06 * least


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_cw_finds_its_way_from_a_flat_image_at_the_edge_of_the_box(value: float) -> None:
    """Only the way into the box leads over the boundary; the shortest has a known length."""
    lead = 0.5
    layer = nn.Linear(192, 2)
    with torch.no_grad():
        inward = (1 - 2 * value) * torch.ones(192) / 192**0.5
        layer.weight.copy_(torch.stack([-inward, inward]) / 2)
        layer.bias.copy_(torch.tensor([1.0, -1.0]) * (lead + float(inward.sum()) * value) / 2)
    model, x = classifier(nn.Sequential(nn.Flatten(), layer), 2), torch.full((2, 3, 8, 8), value)
    result = CW()(model, x, torch.zeros(2, dtype=torch.int64))
    assert bool(result.success.all())
    assert float(lengths(result.images, x).max()) <= lead * 1.05
