"""Flows inside a budget of total variation, and a small two-layer network, for the tests of the certificate."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from core.certify import flow_geometry as geometry
from core.domains.mnist import fallback_digits
from core.models.classifier import Classifier
from core.training.kinds import Normalized
from core.training.objectives import OBJECTIVES, Batch
from core.warp import variation


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sample_flows(height: int, width: int, eps: float, count: int = 12) -> Tensor:
    """Flows of total variation `eps`: single pixels, rectangles, the whole image, noise and smooth ones; M×2×H×W."""
    generator = torch.Generator().manual_seed(count)
    found = [*noise(count, 2, height, width), *geometry.solve(noise(count, 2, height, width, seed=1))]
    for number in range(3 * count):
        flow, angle = torch.zeros(2, height, width, dtype=torch.float64), noise(2, seed=number)
        top, left = (int(torch.randint(size, (1,), generator=generator)) for size in (height, width))
        bottom, right = (
            (top + 1, left + 1)
            if number % 3 == 0
            else (
                int(torch.randint(top + 1, height + 1, (1,), generator=generator)),
                int(torch.randint(left + 1, width + 1, (1,), generator=generator)),
            )
        )
        flow[:, top:bottom, left:right] = angle[:, None, None]
        found.append(flow)
    found.append(torch.ones(2, height, width, dtype=torch.float64))
    flows = torch.stack(found)
    return flows * (eps / variation(flows, border=True)).view(-1, 1, 1, 1)


@lru_cache(maxsize=4)
def small_network(eps: float, hidden: int = 40) -> Classifier:
    """A two-layer network for scikit-learn's digits; trained with its certificate where `eps` is above 0. Shared: not to be changed."""
    images, labels = digits(train=True)
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    network = Normalized(layers, (0.1307,), (0.3081,))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    objective = OBJECTIVES["flow_certificate" if eps else "cross_entropy"]
    for step in range(250):
        chosen = torch.randint(len(images), (128,), generator=generator)
        params = {"eps": eps * min(1.0, step / 120), "weight": 2.0} if eps else {}
        terms = objective({"classifier": network}, Batch(images[chosen], labels[chosen], generator), **params)
        optimizer.zero_grad()
        torch.stack([*terms.losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Classifier.wrap(layers, classes=10, size=28, mean=0.1307, std=0.3081, channels=1)


def digits(train: bool = False) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits at 28×28, float32 N×1×28×28, and their classes."""
    pixels, labels = fallback_digits(train)
    return torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255, torch.tensor(labels)
