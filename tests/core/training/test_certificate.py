"""The objective that trains a two-layer network with its certificate."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import BadInput
from core.certify.flow import FlowCertificate
from core.training import find_plan
from core.training.kinds import Normalized
from core.training.objectives import OBJECTIVES, Batch
from tests.core.certify.flow_samples import digits, small_network


def network() -> Normalized:
    return Normalized(small_network(0.0).network, (0.1307,), (0.3081,))


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
    promise = FlowCertificate(eps=3.9, radius=False)(small_network(0.0), data.images, data.labels)
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


def test_another_network_is_refused_in_a_sentence() -> None:
    data = batch()
    deep = Normalized(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (0.0,), (1.0,))
    with pytest.raises(BadInput, match="choose the architecture 'two_layer'"):
        OBJECTIVES["flow_certificate"]({"classifier": deep}, data, eps=1.0)


def test_the_shipped_plans_are_the_plain_and_the_certified_network() -> None:
    plain, certified = find_plan("mnist_mlp"), find_plan("mnist_mlp_certified")
    assert plain.architecture == certified.architecture == "two_layer"
    assert [stage.objective.name for stage in certified.stages] == ["flow_certificate"] * 2
    assert certified.starts_from == "mlp"
