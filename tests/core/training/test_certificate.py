"""The objective that trains a two-layer network with its certificate."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import InvalidInput
from core.certify.flow import FlowCertificate
from core.certify.flow_geometry import differences, solve
from core.certify.two_layer import two_layer
from core.training import find_plan
from core.training.kinds import Normalized
from core.training.objectives import OBJECTIVES, Batch
from core.training.objectives.flows import first_order_change, moved_batch
from core.warp import warp
from tests.core.certify.flow_samples import digits, small_network


def network() -> Normalized:
    trained = copy.deepcopy(small_network(0.0).network).requires_grad_(True)  # the tests share that one
    return Normalized(trained, (0.1307,), (0.3081,))


def batch() -> Batch:
    images, labels = digits()
    return Batch(images[:20], labels[:20], torch.Generator())


def test_without_a_flow_it_is_the_cross_entropy_twice() -> None:
    model, data = network(), batch()
    terms = OBJECTIVES["flow_certificate"]({"classifier": model}, data, eps=0.0, weight=3.0, pairs=9)
    expected = float(F.cross_entropy(model(data.images), data.labels))
    assert float(terms.losses["cross_entropy"]) == pytest.approx(expected, rel=1e-4)
    assert float(terms.losses["certificate"]) == pytest.approx(3 * expected, rel=1e-3, abs=1e-5)


def test_the_margins_are_those_of_the_certificate_or_below() -> None:
    """Up to 4 pixels of total variation; the certificate may use another bound beside."""
    data = batch()
    terms = OBJECTIVES["flow_certificate"]({"classifier": network()}, data, eps=3.9, pairs=9)
    promise = FlowCertificate(eps=3.9, find_radius=False)(small_network(0.0), data.images, data.labels)
    assert promise is not None
    count = round(20 * float(terms.metrics["certified"]))
    assert 0 < count <= int(promise.certified.sum())


def test_a_step_against_its_gradient_lowers_it() -> None:
    model, data = network(), batch()
    first = model.network[1].weight.clone().requires_grad_(True)  # type: ignore[index, union-attr, operator]
    model.network[1].weight = nn.Parameter(first.detach().clone())  # type: ignore[index, union-attr]

    def loss() -> torch.Tensor:
        return OBJECTIVES["flow_certificate"]({"classifier": model}, data, eps=6.0).losses["certificate"]

    before = loss()
    (slope,) = torch.autograd.grad(before, model.network[1].weight)  # type: ignore[index, union-attr, arg-type]
    with torch.no_grad():
        model.network[1].weight -= 1e-4 * slope / slope.norm()  # type: ignore[index, union-attr, operator]
    expected = -1e-4 * float(slope.norm())
    assert float(loss()) - float(before.detach()) == pytest.approx(expected, rel=0.1)


def test_moved_images_stay_inside_the_bound_and_cost_more() -> None:
    model, data = network(), batch()
    seen: list[torch.Tensor] = []

    def loss(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.detach())
        return F.cross_entropy(model(images), data.labels, reduction="sum")

    moved = moved_batch(loss, data.images, 8.0, 4)
    assert len(seen) == 4 and torch.equal(seen[0], data.images) and not moved.requires_grad
    # A pixel that moves by at most 8 / 4 pixels stays in the range of its 5×5 neighbors.
    around = [sign * F.max_pool2d(sign * data.images, 5, 1, 2) for sign in (1, -1)]
    assert bool((moved <= around[0] + 1e-5).all() and (moved >= around[1] - 1e-5).all())
    losses = [float(F.cross_entropy(model(images), data.labels)) for images in (data.images, moved)]
    assert losses[1] > losses[0] + 0.03  # a random flow of that length: less than 0.01
    assert torch.equal(moved_batch(loss, data.images, 0.0, 2), data.images)


def test_the_first_order_is_what_a_short_flow_changes() -> None:
    """On smooth images, the best short flow in the ellipsoid reaches it, and no random one exceeds it."""
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    images = (torch.sin(rows / 4) * torch.cos(columns / 5) / 2 + 0.5)[None, None].double()
    layers = two_layer(small_network(0.0))
    labels = layers.logits(images).argmax(1)
    expected = float(first_order_change(layers, images, labels))

    def lead(flow: torch.Tensor) -> torch.Tensor:
        logits = layers.logits(warp(images, flow))[0]
        return logits[labels[0]] - logits[torch.arange(10) != labels[0]].max()

    def length(flow: torch.Tensor) -> float:
        return float(sum(part.square().sum() for field in flow[0] for part in differences(field)) ** 0.5)

    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        flow = torch.randn(1, 2, 28, 28, generator=generator, dtype=torch.float64)
        flow = flow * (1e-4 / length(flow))
        assert abs(float(lead(flow) - lead(torch.zeros_like(flow)))) <= 1.3e-4 * expected
    start = torch.full((1, 2, 28, 28), 1e-9, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(lead(start), start)
    best = solve(slope)
    best = best * (1e-4 / length(best))
    change = float(lead(best) - lead(torch.zeros_like(best)))
    assert change == pytest.approx(1e-4 * expected, rel=0.1)


def test_the_terms_for_long_flows_are_added_where_they_weigh() -> None:
    model, data = network(), batch()
    plain = OBJECTIVES["flow_certificate"]({"classifier": model}, data, eps=1.0)
    more = OBJECTIVES["flow_certificate"](
        {"classifier": model}, data, eps=1.0, max_tv=20.0, steps=3, attacked=2.0, first_order=0.5
    )
    assert list(plain.losses) == ["cross_entropy", "certificate"] and list(more.losses)[2:] == [
        "attacked",
        "first order",
    ]
    assert float(more.losses["attacked"]) > 2 * float(plain.losses["cross_entropy"])
    layers = two_layer(small_network(0.0), torch.float32)
    expected = 0.5 * float(first_order_change(layers, data.images, data.labels).mean())
    assert float(more.losses["first order"]) == pytest.approx(expected, rel=1e-3)
    more.losses["first order"].backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_another_network_is_refused_in_a_sentence() -> None:
    data = batch()
    deep = Normalized(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (0.0,), (1.0,))
    with pytest.raises(InvalidInput, match="choose the architecture 'two_layer'"):
        OBJECTIVES["flow_certificate"]({"classifier": deep}, data, eps=1.0)


def test_the_shipped_plans_are_the_plain_and_the_certified_network() -> None:
    plain, certified = find_plan("mnist_mlp"), find_plan("mnist_mlp_certified")
    assert plain.architecture == certified.architecture == "two_layer"
    assert [stage.objective.name for stage in certified.stages] == ["flow_certificate"] * 2
    assert certified.starts_from == "mlp"
