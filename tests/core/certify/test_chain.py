"""Which networks the bounds can be computed for, and what the others are refused with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import certify, domains
from core.certify.chain import chain_of
from core.certify.interval import image_box, interval_margins
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from tests.core.certify.test_linf import CLASSES, SIZE, images, small, true_margins


def test_the_chain_is_the_network() -> None:
    for seed in range(3):
        model = small(seed)
        batch, labels = images(5), torch.zeros(5, dtype=torch.int64)
        expected = true_margins(model, batch, labels)
        found = interval_margins(chain_of(model), image_box(batch, torch.zeros(5)), labels)
        assert torch.allclose(found, expected, atol=1e-9)


class Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(SIZE * SIZE, SIZE * SIZE)
        self.head = nn.Linear(SIZE * SIZE, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.head(x + F.relu(self.inner(x)))  # type: ignore[no-any-return]


class Decides(nn.Module):
    """A network whose own code looks at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIZE * SIZE, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1)) if float(x.mean()) < 10 else self.head(-x.flatten(1))  # type: ignore[no-any-return]


def test_what_does_not_fit_is_refused_with_a_sentence() -> None:
    for network, word in (
        (nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 8), nn.GELU(), nn.Linear(8, CLASSES)), "gelu"),
        (Shortcut(), "shortcut"),
        (Decides(), "operation"),
        (nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, CLASSES), nn.ReLU()), "end"),
    ):
        model = Classifier.wrap(network, classes=CLASSES, size=SIZE, channels=1)
        why = certify.LinfCertificate.fits(model)
        assert why is not None and word in why and "Randomized smoothing takes any" in why
        with pytest.raises(InvalidInput, match=word):
            certify.LinfCertificate()(model, images(1), torch.tensor([0]))
    assert certify.LinfCertificate.fits(small()) is None
    with pytest.raises(InvalidInput, match="at most 1"):
        certify.LinfCertificate(eps=1.5)


def test_the_classifiers_that_ship() -> None:
    domain = domains.get("mnist")
    for name in ("cnn", "cnn_robust", "a", "b", "vgg", "digits"):
        assert certify.LinfCertificate.fits(domain.classifier(name)) is None, name
    assert certify.LinfCertificate.fits(domains.get("photos").classifier()) is not None
