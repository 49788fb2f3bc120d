"""BIM, MI-FGSM, APGD, Square and the worst case of them, against loops and known optima."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core import InvalidInput
from core.attacks import APGDCE, APGDT, BIM, MIFGSM, PGD, Criterion, Square, WorstCase
from core.attacks.losses import dlr
from core.images import quantise
from core.models.classifier import Classifier
from tests.core.attacks.networks import curved, linear, random_images, streams_of

EPS = 8 / 255


def labels_of(model: Classifier, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1)


def gradient(model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_(True)
    F.cross_entropy(model(leaf), y, reduction="sum").backward()
    assert leaf.grad is not None
    return leaf.grad


def loss(model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return F.cross_entropy(model(x), y, reduction="none")


def test_bim_is_its_formula() -> None:
    model, x = curved(), random_images()
    y, now = labels_of(model, x), x
    for _ in range(5):
        now = (now + 2 / 255 * gradient(model, now, y).sign()).clamp(x - EPS, x + EPS).clamp(0, 1)
    result = BIM(eps=EPS, iterations=5, step_size=2 / 255, early_stop=False)(model, x, y)
    assert torch.allclose(result.images, now, atol=1e-6)


def test_mifgsm_is_its_formula() -> None:
    # Logits that grow make an image's gradients of very different lengths, so that what they are divided by shows.
    model, x, eps = curved(), random_images(), 0.4
    model.network[-1].weight.data.mul_(8)  # type: ignore[index, union-attr, operator]
    y, now, g = labels_of(model, x), x, torch.zeros_like(x)
    for _ in range(8):
        slope = gradient(model, now, y)
        g = 0.9 * g + slope / slope.abs().sum((1, 2, 3), keepdim=True)
        now = (now + eps / 8 * g.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    result = MIFGSM(eps=eps, iterations=8, decay=0.9)(model, x, y)
    assert torch.allclose(result.images, now, atol=1e-6)


def test_mifgsm_without_memory_is_bim() -> None:
    model, x = curved(), random_images()
    y = labels_of(model, x)
    one = MIFGSM(eps=EPS, iterations=4, decay=0)(model, x, y)
    two = BIM(eps=EPS, iterations=4, step_size=EPS / 4, early_stop=False)(model, x, y)
    assert torch.allclose(one.images, two.images, atol=1e-6)


def written_out(model: Classifier, x: Tensor, y: Tensor, eps: float, steps: int, seed: int) -> Tensor:
    """APGD-CE on one image, line by line from algorithm 1 of Croce and Hein 2020; the best point's loss after each step."""
    noise = streams_of(x, seed).rand(*x.shape[1:]) * 2 - 1

    def inside(z: Tensor) -> Tensor:
        return z.clamp(x - eps, x + eps).clamp(0, 1)

    def value(z: Tensor) -> float:
        return float(loss(model, z, y))

    stride, old = 2 * eps, inside(x + eps * noise / noise.abs().max())
    points = [old, inside(old + stride * gradient(model, old, y).sign())]
    losses = [value(point) for point in points]
    # Checkpoints: p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06).
    checkpoints, interval = [int(0.22 * steps)], int(0.22 * steps)
    while checkpoints[-1] < steps:
        interval = max(interval - int(0.03 * steps), int(0.06 * steps))
        checkpoints.append(checkpoints[-1] + interval)
    best, at_check, halved, last_check = 0, losses[0], True, 0
    curve = [losses[0]]
    for k in range(1, steps + 1):
        best = max(range(k + 1), key=lambda n: losses[n])
        curve.append(losses[best])
        now, before = points[k], points[k - 1]
        if k in checkpoints:
            rises = sum(losses[n] > losses[n - 1] for n in range(last_check + 1, k + 1))
            poor = rises <= 0.75 * (k - last_check)
            stuck = not halved and at_check == losses[best]
            halved, at_check, last_check = poor or stuck, losses[best], k
            if halved:
                stride /= 2
                points[k] = now = points[best]
        ahead = inside(now + stride * gradient(model, now, y).sign())
        points.append(inside(now + 0.75 * (ahead - now) + 0.25 * (now - before)))
        losses.append(value(points[-1]))
    return torch.tensor(curve)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_apgd_is_its_algorithm_written_out(seed: int) -> None:
    model, x = curved(seed=seed), random_images(1, seed=4)
    model.network[-1].weight.data.mul_(12)  # type: ignore[index, union-attr, operator]
    y, eps, steps = labels_of(model, x), 0.5, 50
    attack = APGDCE(eps=eps, iterations=steps, early_stop=False)
    found = [loss(model, s.images, y) for s in attack.steps(model, x, y, generator=torch.Generator().manual_seed(3))]
    wanted = written_out(model, x, y, eps, steps, 3)
    assert torch.allclose(torch.cat(found[1:]), wanted[1:], rtol=1e-5)
    assert float(wanted[-1]) > float(wanted[20]) * 1.00005, "steps that were halved found something"


def leads(model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """By how much each class's logit leads the label's, N×K; the label's own place is -inf."""
    with torch.no_grad():
        logits = model(x)
    return (logits - logits.gather(1, y[:, None])).scatter(1, y[:, None], -torch.inf)


def largest_lead(model: Classifier, x: Tensor, y: Tensor, eps: float, classes: int) -> Tensor:
    """The largest lead in the ball of a linear classifier: for each class the best corner is known."""
    weight = model.network[1].weight.detach()  # type: ignore[index, union-attr]
    corners = [(x + eps * (weight[k] - weight[y]).view_as(x).sign()).clamp(0, 1) for k in range(classes)]
    return torch.stack([leads(model, corner, y)[:, k] for k, corner in enumerate(corners)], 1).amax(1)


def test_apgd_finds_a_linear_classifiers_worst_corner() -> None:
    model, x = linear(classes=2), random_images() * 0.8 + 0.1
    y = labels_of(model, x)
    result = APGDCE(eps=0.05, iterations=40, early_stop=False)(model, x, y)
    best = largest_lead(model, x, y, 0.05, 2)
    assert torch.allclose(leads(model, result.images, y).amax(1), best, atol=1e-5)


@pytest.mark.parametrize("eps", [0.005, 0.01, 0.02])
def test_apgd_t_fools_a_linear_classifier_wherever_that_is_possible(eps: float) -> None:
    model, x = linear(classes=5), random_images(40) * 0.8 + 0.1
    y = labels_of(model, x)
    possible = largest_lead(model, x, y, eps, 5) > 0
    assert 0 < int(possible.sum()) < 40
    steps = list(APGDT(eps=eps, iterations=40, early_stop=False).steps(model, x, y))
    assert torch.equal(steps[-1].fooled, possible)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_stays_in_the_ball_and_beats_pgd_of_the_same_length(norm: str) -> None:
    model, x = curved(seed=3), random_images(12)
    y, eps = labels_of(model, x), EPS if norm == "linf" else 0.5
    result = APGDCE(eps=eps, norm=norm, iterations=50, early_stop=False)(model, x, y)  # type: ignore[arg-type]
    change = (result.images - x).flatten(1)
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert bool((size <= eps * (1 + 1e-5)).all())
    plain = PGD(eps=eps, norm=norm, iterations=50, step_size=eps / 4, early_stop=False, random_start=False)  # type: ignore[arg-type]
    assert float(loss(model, result.images, y).mean()) >= float(loss(model, plain(model, x, y).images, y).mean()) * 0.99


def test_the_ratio_does_not_change_when_logits_are_scaled() -> None:
    z = torch.randn(6, 10)
    y, t = torch.arange(6), torch.arange(6) + 1
    for goal in (Criterion(), Criterion(t)):
        assert torch.allclose(dlr(z, y, goal), dlr(17 * z + 3, y, goal), atol=1e-5)
    one = torch.tensor([[4.0, 3.0, 1.0, 0.0]])
    assert float(dlr(one, torch.tensor([0]), Criterion())) == pytest.approx((3 - 4) / (4 - 1))
    assert float(dlr(one, torch.tensor([0]), Criterion(torch.tensor([2])))) == pytest.approx(
        (1 - 4) / (4 - (1 + 0) / 2)
    )


def test_apgd_t_wants_four_classes() -> None:
    model, x = linear(classes=3), random_images()
    with pytest.raises(InvalidInput, match="at least 4 classes"):
        APGDT()(model, x, labels_of(model, x))


def test_square_asks_only_for_logits_and_keeps_what_helps() -> None:
    model, x = curved(seed=3), random_images(8)
    y = labels_of(model, x)
    last = torch.full((8,), -torch.inf)
    with torch.inference_mode():  # a gradient would raise here
        for step in Square(eps=EPS, queries=60, early_stop=False).steps(model, x, y):
            worse = step.loss < last - 1e-6
            assert not bool((worse & ~step.fooled).any())
            last = step.loss
            change = (step.images - x).abs()
            assert float(change.max()) <= EPS + 1e-6
            moved = (step.images > 0) & (step.images < 1) & (change > 0)
            assert torch.allclose(change[moved], torch.tensor(EPS), atol=1e-6), "every value is at a face of the ball"


def test_a_square_that_does_not_help_is_taken_back() -> None:
    model, x = curved(seed=3), random_images(8)
    y, eps = labels_of(model, x), 2 / 255
    attack = Square(eps=eps, queries=40, early_stop=False)
    *_, last = attack.steps(model, x, y, generator=torch.Generator().manual_seed(2))
    draws = streams_of(x, 2)
    signs = draws.randint(2, 3, 1, 8) * 2 - 1
    now = (x + eps * signs).clamp(0, 1)
    lead = leads(model, now, y).amax(1)
    for query in range(2, 41):
        tried = attack._squares(now, x, attack.side(query - 2, 8, 8), draws)
        better = leads(model, tried, y).amax(1) > lead
        now = torch.where(better.view(-1, 1, 1, 1), tried, now)
        lead = torch.maximum(lead, leads(model, tried, y).amax(1))
    # The clean image is what there is until something leads more.
    clean = leads(model, x, y).amax(1)
    assert torch.allclose(leads(model, last.images, y).amax(1), torch.maximum(lead, clean), atol=1e-5)


def test_squares_shrink_as_published() -> None:
    attack = Square(queries=10_000)
    area = {q: attack.side(q, 224, 224) ** 2 / 224**2 for q in (0, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001)}
    wanted = [0.8, 0.8, *(0.8 / 2**k for k in range(1, 10))]
    assert list(area.values()) == pytest.approx(wanted, rel=0.15)
    assert Square(queries=100).side(99, 4, 4) == 1


def test_the_worst_case_is_at_least_as_bad_as_each_part() -> None:
    model, x = curved(seed=5), random_images(16)
    y = labels_of(model, x)
    eps = 3 / 255
    worst = WorstCase(eps=eps, iterations=20, queries=50)(model, x, y)
    first = APGDCE(eps=eps, iterations=20)(model, x, y)
    assert bool((worst.success | ~first.success).all())
    assert float((worst.images - x).abs().max()) <= eps + 1e-6
    with torch.no_grad():
        assert torch.equal(worst.success, model(quantise(worst.images)).argmax(1) != y)


def test_the_worst_case_goes_on_where_the_first_part_is_blind() -> None:
    """A saturated softmax has no gradient for the cross-entropy; the ratio of logits and the queries do not care."""
    model, x, eps = linear(classes=5), random_images(40) * 0.8 + 0.1, 0.02
    y = labels_of(model, x)
    possible = largest_lead(model, x, y, eps, 5) > 0
    model.network[1].weight.data.mul_(1e6)  # type: ignore[index, union-attr, operator]
    *_, blind = APGDCE(eps=eps, iterations=20).steps(model, x, y)
    *_, worst = WorstCase(eps=eps, iterations=40, queries=20).steps(model, x, y)
    assert not bool((worst.fooled & ~possible).any())
    assert int(blind.fooled.sum()) < 0.7 * int(possible.sum()) and int(worst.fooled.sum()) > 0.9 * int(possible.sum())


def test_the_worst_case_serves_a_goal_too() -> None:
    model, x = curved(seed=5), random_images(8)
    y = labels_of(model, x)
    targets = (y + 1) % 4
    worst = WorstCase(eps=0.2, iterations=20, queries=20)(model, x, y, Criterion(targets))
    assert bool(worst.success.any())
    with torch.no_grad():
        assert torch.equal(worst.success, model(quantise(worst.images)).argmax(1) == targets)
