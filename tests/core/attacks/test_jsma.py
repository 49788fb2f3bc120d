"""JSMA (Papernot et al. 2016): the values that it moves, and the memory that it takes."""

from __future__ import annotations

import pytest
import torch

from core.attacks import JSMA, Criterion
from core.attacks.jsma import best_pair
from tests.core.attacks.networks import curved, random_images


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
    steps = attack.steps(model, x, y, Criterion(targets))
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
