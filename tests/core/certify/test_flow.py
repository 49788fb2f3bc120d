"""The flow certificate: no attack inside the threat model breaks it, it is exact without a flow, and it says what it is not for."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from core import Guarded, InvalidInput, certify, defenses
from core.attacks import BoundedFlow, StAdv
from core.certify.base import Certified
from core.certify.flow import FlowCertificate
from core.certify.two_layer import two_layer
from core.models.classifier import Classifier
from core.warp import variation, warp
from tests.core.certify.flow_samples import digits, sample_flows, small_network

EPS = 12.0


def certified(classifier: Classifier, images: Tensor, labels: Tensor, **params: object) -> Certified:
    found = FlowCertificate(**{"find_radius": False, **params})(classifier, images, labels)
    assert found is not None
    return found


def margins(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """Those of the classifier itself, float64 N."""
    with torch.no_grad():
        logits = classifier(images).double()
    own = classes[:, None]
    return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(1)


def test_no_attack_inside_the_budget_breaks_200_certified_images() -> None:
    classifier, (images, labels) = small_network(EPS), digits()
    promise = certified(classifier, images, labels, eps=EPS)
    chosen = promise.certified
    assert int(chosen.sum()) >= 200
    images, labels, bound = images[chosen], labels[chosen], promise.margin[chosen]

    def check(attacked: Tensor) -> Tensor:
        found = margins(classifier, attacked, labels)
        assert bool((found >= bound - 1e-4).all()) and bool((found > 0).all())
        return found

    strongest = BoundedFlow(max_tv=EPS, iterations=20, restarts=1, early_stop=False)(classifier, images, labels)
    flow = strongest.extras["flow"]
    assert bool((variation(flow, border=True) <= EPS * (1 + 1e-5)).all()) and not bool(strongest.success.any())
    attacked = check(warp(images, flow).clamp(0, 1))
    drop = margins(classifier, images, labels) - attacked
    assert float((drop / (margins(classifier, images, labels) - bound)).mean()) > 0.1, (
        "an attack that comes near the bound"
    )
    soft = StAdv(constraint="bounded", max_tv=EPS, iterations=10, binary_search_steps=1)(classifier, images, labels)
    inside = variation(soft.extras["flow"], border=True) <= EPS
    assert not bool((soft.success & inside).any())
    shifts = torch.tensor([(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0) if a or b])
    shifts = shifts / shifts.norm(dim=1, keepdim=True) * (EPS / (4 * 28))
    for shift in shifts:  # of the whole image, which pays for the border
        check(warp(images, shift.view(1, 2, 1, 1).expand(len(images), 2, 28, 28).contiguous()))
    for field in sample_flows(28, 28, EPS, count=4).float():
        check(warp(images, field.expand(len(images), -1, -1, -1)))


def test_without_a_flow_the_margin_is_the_classifiers() -> None:
    classifier, (images, labels) = small_network(0.0), digits()
    promise = certified(classifier, images[:60], labels[:60], eps=0)
    assert torch.allclose(promise.margin, margins(classifier, images[:60], promise.predicted), atol=1e-4)
    with torch.no_grad():
        assert torch.equal(promise.predicted, classifier(images[:60]).argmax(1))
    assert torch.equal(promise.certified, promise.predicted == labels[:60])
    assert promise.margin.dtype == torch.float64 and bool(promise.radius.isnan().all())


@pytest.mark.parametrize("bound", ["best", "joint", "local box", "paper box", "paper"])
def test_a_larger_budget_leaves_a_smaller_margin(bound: str) -> None:
    classifier, (images, labels) = small_network(EPS), digits()
    found = [
        certified(classifier, images[:30], labels[:30], eps=eps, bound=bound).margin for eps in (0, 0.5, 2, 4, 5, 9, 30)
    ]
    for small, large in pairwise(found):
        assert bool((large <= small + 1e-9).all())


def test_the_best_bound_is_the_highest() -> None:
    classifier, (images, labels) = small_network(EPS), digits()
    found = {
        bound: certified(classifier, images[:30], labels[:30], eps=2.0, bound=bound).margin
        for bound in ("best", "joint", "local box", "paper box")
    }
    assert torch.equal(found["best"], torch.maximum(found["joint"], found["local box"]))
    assert bool((found["local box"] > found["paper box"]).all())
    assert int((found["joint"] > 0).sum()) > int((found["local box"] > 0).sum())


def test_the_radius_is_certified_and_little_more_is_not() -> None:
    classifier, (images, labels) = small_network(EPS), digits()
    images, labels = images[:20], labels[:20].clone()
    labels[3] = (labels[3] + 1) % 10
    certificate = FlowCertificate(eps=EPS)
    promise = certificate(classifier, images, labels)
    assert promise is not None and promise.unit == "total variation in pixels"
    radius, network = promise.radius, two_layer(classifier)
    assert float(radius[3]) == 0 and not bool(promise.certified[3])
    right = promise.predicted == labels
    assert bool((radius[right] > 0).any())
    classes = promise.predicted[right]
    inside, beyond = (
        certificate.margin(network, images[right].double(), classes, radius[right] * f) for f in (1, 1.01)
    )
    assert bool((inside > 0).all()) and bool((beyond <= 0.01).all())
    assert torch.equal(promise.certified, right & (radius >= EPS))


def test_training_with_the_certificate_raises_it() -> None:
    images, labels = (each[:100] for each in digits())
    plain, trained = (certified(small_network(eps), images, labels, eps=EPS, find_radius=True) for eps in (0.0, EPS))
    assert (
        float(trained.radius.mean()) > float(plain.radius.mean()) and int((trained.radius > plain.radius).sum()) >= 60
    )


def test_the_normalization_is_folded_in() -> None:
    classifier, (images, _) = small_network(0.0), digits()
    with torch.no_grad():
        expected = classifier(images[:20])
    assert torch.allclose(two_layer(classifier).logits(images[:20].double()).float(), expected, atol=1e-4)


class Twice(nn.Module):
    """Two linear layers and a ReLU, in another order than it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.second = nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x.flatten(1).abs()))  # type: ignore[no-any-return]


def test_what_it_is_not_for_is_said_in_a_sentence() -> None:
    images, labels = digits()
    bare = small_network(0.0)
    deep = nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 10))
    three = Classifier.wrap(deep, classes=10, size=28, channels=1)
    guarded = Guarded(bare, defenses.Gaussian())
    color = Classifier.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 784, 9), nn.ReLU(), nn.Linear(9, 10)), classes=10, size=28, channels=3
    )
    for classifier, words in ((three, "no two-layer network"), (guarded, "single two-layer"), (color, "gray images")):
        assert words in (FlowCertificate.fits(classifier) or "")
        with pytest.raises(InvalidInput, match=words):
            FlowCertificate()(classifier, images[:1].expand(-1, classifier.channels, -1, -1), labels[:1])
    with pytest.raises(InvalidInput, match="does not compute"):
        FlowCertificate()(Classifier.wrap(Twice(), classes=10, size=28, channels=1), images[:1], labels[:1])
    assert FlowCertificate.fits(bare) is None
    with pytest.raises(InvalidInput, match="eps is -1; it must be at least 0"):
        certify.build("flow", {"eps": -1})


def test_it_can_be_stopped() -> None:
    classifier, (images, labels) = small_network(0.0), digits()
    assert FlowCertificate()(classifier, images, labels, on_progress=lambda progress: progress.done >= 0) is None
