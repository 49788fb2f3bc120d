"""DeepFool (Moosavi-Dezfooli et al. 2016) where the smallest change is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core import InvalidInput
from core.attacks import CW, JSMA, Attack, DeepFool, Step
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier


def two_sided(seed: int = 0, lead: float = 0.3) -> tuple[Classifier, Tensor, Tensor]:
    """Two classes, Z = ±(w·x - b)/2, and gray images on the side of class 0 at equal distance from the boundary."""
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


def test_deepfool_refuses_nonsense() -> None:
    with pytest.raises(InvalidInput):
        DeepFool(overshoot=-1)
    with pytest.raises(InvalidInput):
        CW(binary_search_steps=0)
    with pytest.raises(InvalidInput):
        JSMA(gamma=2)
