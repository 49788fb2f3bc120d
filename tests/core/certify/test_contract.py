"""What every certificate gives back, also one of a plugin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from core import InvalidInput, domains
from core.certify import Certified, FlowCertificate


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"predicted": torch.zeros(3, dtype=torch.int64)}, "predicted must be a tensor of 4 values"),
        ({"predicted": torch.full((4,), 10)}, "predicted must hold the numbers of classes, 0 to 9, or -1"),
        ({"predicted": torch.zeros(4)}, "predicted must hold the numbers of classes, 0 to 9, or -1"),
        ({"certified": torch.ones(4)}, "certified must hold True and False"),
        ({"radius": -torch.ones(4)}, "radius must hold numbers of at least 0"),
        ({"radius": torch.ones(4, requires_grad=True)}, "radius must be a tensor of 4 values without a gradient"),
        ({"margin": 1.0}, "margin must be a tensor"),
        ({"unit": None}, "its unit must be a short text"),
    ],
)
def test_a_certificate_of_ones_own_that_gives_nonsense_gets_a_sentence(
    changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"predicted": torch.zeros(4, dtype=torch.int64), "certified": torch.ones(4, dtype=torch.bool)}
    good = Certified(**values, margin=torch.ones(4), radius=torch.full((4,), torch.nan), unit="L2")
    classifier = domains.get("mnist").classifier("mlp", "cpu")
    images, labels = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)
    monkeypatch.setattr(FlowCertificate, "certify", lambda *_: good)
    assert FlowCertificate()(classifier, images, labels) is not None
    monkeypatch.setattr(FlowCertificate, "certify", lambda *_: replace(good, **changes))
    with pytest.raises(InvalidInput, match=f"What Flow certificate gives cannot be used: {words}"):
        FlowCertificate()(classifier, images, labels)
