"""Attacks that look for the smallest change: DeepFool, C&W and JSMA, where the smallest change is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core import InvalidInput, domains
from core.attacks import CW, JSMA, Attack, DeepFool, Goal, Step
from core.attacks.active import ActiveBatch
from core.attacks.cw import BISECTIONS
from core.attacks.jsma import best_pair
from core.attacks.losses import margin
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier, curved, random_images

THOROUGH = {"binary_search_steps": 9, "iterations": 200, "learning_rate": 0.01, "initial_c": 0.01, "rounding": False}


def two_sided(seed: int = 0, lead: float = 0.3) -> tuple[Classifier, Tensor, Tensor]:
    """Two classes, Z = ±(w·x - b)/2, and grey images on the side of class 0 at equal distance from the boundary."""
    torch.manual_seed(seed)
    layer = nn.Linear(192, 2)
    with torch.no_grad():
        normal = torch.randn(192)
        normal = normal / normal.norm()
        layer.weight.copy_(torch.stack([-normal, normal]) / 2)
        layer.bias.zero_()
    x = 0.5 + 0.05 * torch.randn(4, 192)
    away = x @ normal + lead
    x = x - away[:, None] * normal
    return classifier(nn.Sequential(nn.Flatten(), layer), 2), x.view(4, 3, 8, 8), normal


def unrounded(attack: Attack, *given: object) -> Step:
    """The attack's last step, before anything is rounded to 8 bits."""
    return list(attack.steps(*given))[-1]  # type: ignore[arg-type]


def lengths(images: Tensor, clean: Tensor) -> Tensor:
    return (images - clean).flatten(1).norm(dim=1)


def test_deepfool_steps_straight_over_a_flat_boundary() -> None:
    lead = 0.3
    model, x, normal = two_sided(lead=lead)
    y = torch.zeros(4, dtype=torch.int64)
    result = unrounded(DeepFool(overshoot=0.0, rounding=False), model, x, y)
    assert bool(result.fooled.all()) and result.number == 1
    assert torch.allclose(lengths(result.images, x), torch.full((4,), lead), rtol=1e-3)
    change = (result.images - x).flatten(1)
    assert torch.allclose(change / change.norm(dim=1, keepdim=True), normal.expand(4, -1), atol=1e-4)
    farther = unrounded(DeepFool(overshoot=0.1, rounding=False), model, x, y)
    assert torch.allclose(lengths(farther.images, x), torch.full((4,), 1.1 * lead), rtol=1e-3)


def test_deepfool_takes_the_nearest_of_several_boundaries() -> None:
    torch.manual_seed(3)
    layer = nn.Linear(192, 6)
    model = classifier(nn.Sequential(nn.Flatten(), layer), 6)
    x = 0.5 + 0.02 * torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        logits = model(x)
    y = logits.argmax(1)
    gaps = logits.gather(1, y[:, None]) - logits  # N×K, zero at the label itself
    normals = (layer.weight[None] - layer.weight[y][:, None]).norm(dim=2)
    distance = (gaps / normals.clamp(min=1e-12)).detach().scatter(1, y[:, None], torch.inf)
    result = unrounded(DeepFool(overshoot=0.0, rounding=False), model, x, y)
    assert torch.equal(result.logits.argmax(1), distance.argmin(1))
    assert torch.allclose(lengths(result.images, x), distance.amin(1), rtol=1e-2)


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
    batch = ActiveBatch(model, x, y, Goal())
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


@pytest.mark.parametrize("seed", range(8))
def test_best_pair_is_the_best_of_all_pairs(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(5, 40, generator=generator), torch.randn(5, 40, generator=generator)
    if seed % 2:  # ties
        a, b = (a * 2).round() / 2, (b * 2).round() / 2
    allowed = torch.rand(5, 40, generator=generator) < 0.7
    pair, useful = best_pair(a, b, allowed)
    for n in range(5):
        best = -torch.inf
        for p in range(40):
            for q in range(p + 1, 40):
                s, t = float(a[n, p] + a[n, q]), float(b[n, p] + b[n, q])
                if allowed[n, p] and allowed[n, q] and s > 0 and t > 0:
                    best = max(best, s * t)
        assert bool(useful[n]) == (best > 0)
        if best > 0:
            p, q = pair[n].tolist()
            assert p != q and bool(allowed[n, p]) and bool(allowed[n, q])
            assert float((a[n, p] + a[n, q]) * (b[n, p] + b[n, q])) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("saliency", ["probabilities", "logits"])
def test_jsma_moves_first_the_two_values_that_its_map_names(saliency: str) -> None:
    model, x = curved(), random_images(3) * 0.5
    with torch.no_grad():
        y = model(x).argmax(1)
    targets = (y + 1) % 4
    attack = JSMA(theta=0.25, gamma=1.0, rounding=False, saliency=saliency)  # type: ignore[arg-type]
    steps = attack.steps(model, x, y, Goal(targets))
    next(steps)
    moved = next(steps).images
    leaf = x.clone().requires_grad_(True)
    logits = model(leaf)
    if saliency == "probabilities":
        logits = logits.softmax(1)
    jacobian = torch.stack([torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=True)[0] for k in range(4)])
    for n in range(3):
        alpha = jacobian[targets[n], n].flatten()
        beta = jacobian[:, n].flatten(1).sum(0) - alpha
        best, pair = 0.0, (-1, -1)
        for p in range(192):
            for q in range(p + 1, 192):
                s, t = float(alpha[p] + alpha[q]), float(beta[p] + beta[q])
                if s > 0 and t < 0 and -s * t > best:
                    best, pair = -s * t, (p, q)
        change = (moved[n] - x[n]).flatten()
        assert sorted(change.nonzero()[:, 0].tolist()) == sorted(pair)
        assert torch.allclose(change[list(pair)], torch.tensor(0.25))


@pytest.mark.parametrize(("direction", "sign"), [("increase", 1), ("decrease", -1)])
def test_jsma_moves_one_way_and_no_more_than_its_share(direction: str, sign: int) -> None:
    model, x = curved(seed=2), random_images(6)
    with torch.no_grad():
        y = model(x).argmax(1)
    gamma, most = 0.022, 4  # of 192 values
    for step in JSMA(gamma=gamma, theta=0.2, direction=direction, rounding=False).steps(model, x, y):  # type: ignore[arg-type]
        change = (step.images - x).flatten(1)
        assert bool((sign * change >= 0).all())
        assert int((change != 0).sum(1).max()) <= most
    assert not bool(step.fooled.all()) and int((change != 0).sum(1).max()) == most, "the limit was reached"


def test_jsma_at_imagenets_size_builds_no_matrix_of_pairs() -> None:
    # 150,528 values: their pairs would be 2·10¹⁰ numbers.
    a, b = (torch.randn(1, 150_528, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    pair, useful = best_pair(a, b, torch.ones_like(a, dtype=torch.bool))
    assert bool(useful.all())
    top = float((a[0, pair[0]].sum()) * b[0, pair[0]].sum())
    # No pair with either of the values that lead one of the lists does better.
    for leader in (int(a.argmax()), int(b.argmax()), int((a * b.clamp(min=0)).argmax())):
        s, t = a[0] + a[0, leader], b[0] + b[0, leader]
        rivals = torch.where((s > 0) & (t > 0), s * t, 0.0)
        rivals[leader] = 0
        assert top >= float(rivals.max()) * (1 - 1e-6)


def test_deepfool_refuses_nonsense() -> None:
    with pytest.raises(InvalidInput):
        DeepFool(overshoot=-1)
    with pytest.raises(InvalidInput):
        CW(binary_search_steps=0)
    with pytest.raises(InvalidInput):
        JSMA(gamma=2)


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
