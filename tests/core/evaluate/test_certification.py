"""Curves of certificates: the bound below the attack, a set's shares, and certificates of other kinds."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core import certify
from core.evaluate.certification import certify_image, certify_set, variants
from core.figures.certification import GAP, certified_accuracy_figure, margin_figure
from core.models.classifier import Classifier
from core.progress import Progress
from core.warp import variation, warp


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    layers = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 3)),
    )
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Classifier.wrap(layers, classes=3, size=8, channels=1)


@pytest.fixture(scope="module")
def batch() -> Tensor:
    return torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def labels(model: Classifier, batch: Tensor) -> Tensor:
    found = model(batch).argmax(1)
    found[0] = (found[0] + 1) % 3  # one that is wrong
    return found


def test_the_bound_is_below_the_attack_of_one_image(model: Classifier, batch: Tensor, labels: Tensor) -> None:
    certificate = certify.LinfCertificate(eps=0.2)
    found = certify_image(certificate, model, batch[1:2], int(labels[1]))
    assert found is not None and list(found.bounds) == ["interval bound", "CROWN bound"] and found.unit == "L∞"
    assert found.budgets[0] == 0 and found.budgets[-1] == pytest.approx(0.2)
    logits = model(batch[1:2])[0].double()
    clean = float(logits[labels[1]] - logits[torch.arange(3) != labels[1]].max())
    for curve in (*found.bounds.values(), found.attacked):
        assert curve[0] == pytest.approx(clean, abs=1e-5)
    assert found.radius in found.budgets and float(found.best_bound[found.budgets == found.radius][0]) > 0
    assert bool((found.best_bound <= found.attacked + 1e-5).all()) and bool((np.diff(found.attacked) <= 0).all())
    assert found.attacked[-1] < 0 < found.radius < found.budgets[found.attacked > 0][-1] + 0.2 / 8
    alone = certificate.model_copy(update={"eps": float(found.budgets[3]), "bound": "crown"})(
        model, batch[1:2], labels[1:2]
    )
    assert alone is not None and found.bounds["CROWN bound"][3] == pytest.approx(float(alone.margin[0]))


def test_the_shares_of_a_set_are_counted(model: Classifier, batch: Tensor, labels: Tensor) -> None:
    certificate = certify.LinfCertificate(eps=0.1, bound="interval")
    found = certify_set(certificate, model, batch, labels)
    assert found is not None and found.attacks == "APGD-CE and PGD"
    for eps, share, attacked in zip(found.budgets, found.certified, found.attacked, strict=True):
        promise = certify.LinfCertificate(eps=float(eps), bound="interval")(model, batch, labels)
        assert promise is not None
        assert (share.successes, share.count) == (int(promise.certified.sum()), 12)
        assert share.successes <= attacked.successes
    assert found.certified[0].successes == found.attacked[0].successes == 11
    assert found.certified[-1].successes < found.certified[0].successes


def test_smoothing_has_a_radius_and_no_curve(model: Classifier, batch: Tensor, labels: Tensor) -> None:
    certificate = certify.Smoothing(sigma=0.1, samples=500)
    one = certify_image(certificate, model, batch[1:2], int(labels[1]))
    assert one is not None and not one.bounds and not len(one.attacked) and one.unit.startswith("L2")
    found = certify_set(certificate, model, batch, labels)
    promise = certificate(model, batch, labels)
    assert found is not None and promise is not None and found.attacked == ()
    assert found.certified[0].successes == int(promise.certified.sum())
    assert found.certified[-1].successes >= 1 and found.budgets[-1] == pytest.approx(
        float(promise.radius[promise.certified].max())
    )
    middle = int(((promise.radius >= float(found.budgets[18])) & promise.certified).sum())
    assert found.certified[18].successes == middle
    assert found.abstained == int((promise.predicted < 0).sum())


def test_the_best_of_several_bounds_is_drawn_as_each_of_them() -> None:
    assert list(variants(certify.LinfCertificate(bound="interval"))) == ["L∞ bounds"]
    assert list(variants(certify.Smoothing())) == ["Randomized smoothing"]


@pytest.mark.parametrize("last", [1, 20, 60])
def test_they_stop(last: int, model: Classifier, batch: Tensor, labels: Tensor) -> None:
    for work in (
        lambda on_progress: certify_image(certify.LinfCertificate(), model, batch[:1], 0, on_progress=on_progress),
        lambda on_progress: certify_set(certify.Smoothing(), model, batch, labels, on_progress=on_progress),
    ):
        heard: list[Progress] = []

        def on_progress(progress: Progress, heard: list[Progress] = heard) -> bool:
            heard.append(progress)
            return len(heard) >= last

        found = work(on_progress)  # type: ignore[no-untyped-call]
        assert (found is None) == (len(heard) >= last)
        assert [one.done for one in heard] == sorted(one.done for one in heard) and all(
            one.done <= one.total for one in heard
        )


@pytest.mark.parametrize("bound", ["interval", "best"])
def test_the_figures_show_the_curves(
    bound: Literal["interval", "best"], model: Classifier, batch: Tensor, labels: Tensor
) -> None:
    one = certify_image(certify.LinfCertificate(eps=0.1, bound=bound), model, batch[1:2], int(labels[1]))
    many = certify_set(certify.LinfCertificate(eps=0.1, bound="interval"), model, batch, labels)
    assert one is not None and many is not None
    axes = margin_figure(one, "/255").axes[0]
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    for name, values in one.bounds.items():
        assert np.allclose(drawn[name], values)
    assert np.allclose(drawn["best of APGD-CE and PGD"], one.attacked) and GAP in [
        str(c.get_label()) for c in axes.collections
    ]
    assert np.allclose(np.asarray(axes.lines[0].get_xdata()), one.budgets * 255) and "n/255" in axes.get_xlabel()
    shares = {
        str(line.get_label()): np.asarray(line.get_ydata())
        for line in certified_accuracy_figure({"plain": many}, "").axes[0].lines
    }
    assert np.allclose(shares["certified"], [share.value for share in many.certified])


def test_the_flow_of_the_attack_is_inside_the_budget_and_reaches_the_margin(batch: Tensor) -> None:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 3))
    network = Classifier.wrap(layers, classes=3, size=8, channels=1)
    label = int(network(batch[:1]).argmax(1))
    found = certify_image(certify.build("flow", {"eps": 30.0}), network, batch[:1], label)
    assert found is not None and found.flow is not None and found.unit == "total variation in pixels"
    assert bool((found.best_bound <= found.attacked + 1e-6).all()) and found.attacked[-1] <= 0
    drawn = [line.get_label() for line in margin_figure(found, "").axes[0].lines]
    assert list(found.bounds) == ["joint bound", "local box bound", "paper box bound", "paper bound"]
    assert all(name in drawn for name in found.bounds)
    flow = torch.from_numpy(found.flow)[None]
    assert float(variation(flow, border=True)) <= found.flow_budget * (1 + 1e-5)
    logits = network(warp(batch[:1], flow))[0].double()
    margin = float(logits[label] - logits[torch.arange(3) != label].max())
    place = int(np.flatnonzero(np.isclose(found.budgets, found.flow_budget))[0])
    assert margin <= 0 < found.attacked[place - 1] and margin == pytest.approx(float(found.attacked[place]), abs=1e-4)
