"""The linear bounds of a ReLU and of a max-pool, on a grid."""

from __future__ import annotations

import pytest
import torch

from core.certify.crown import _through_max_pool, _through_relu
from core.certify.interval import Box
from core.certify.layers import MaxPool


def test_the_line_of_a_relu_is_below_it_and_touches_it() -> None:
    low = torch.tensor([-1.0, -0.3, -2.0, 0.2, 0.0, -1.0], dtype=torch.float64)
    high = torch.tensor([0.5, 2.0, -0.5, 0.9, 0.0, 1.0], dtype=torch.float64)
    grid = low + (high - low) * torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    for sign in (1.0, -1.0):
        for neuron in range(len(low)):
            rows = torch.zeros(1, 1, len(low), dtype=torch.float64)
            rows[0, 0, neuron] = sign
            found, offset = _through_relu(rows, Box(low[None], high[None]))
            room = sign * grid[:, neuron].clamp(min=0) - (grid * found[0, 0]).sum(1) - offset[0, 0]
            assert float(room.min()) == pytest.approx(0, abs=1e-12)


def test_the_plane_of_a_max_pool_is_below_it_and_touches_it() -> None:
    layer = MaxPool((1, 2, 2), ((2, 2), (2, 2), (0, 0), (1, 1), False))
    low = torch.tensor([[0.0, 0.1], [-1.0, 0.3]], dtype=torch.float64).view(1, 1, 2, 2)
    for widths in ([0.5, 0.5, 1.4, 0.9], [0.1, 0.1, 0.1, 0.1]):  # any may be the largest, and the last one always is
        high = low + torch.tensor(widths, dtype=torch.float64).view(1, 1, 2, 2)
        corners = torch.cartesian_prod(*torch.stack([low.flatten(), high.flatten()], 1)).view(-1, 1, 2, 2)
        for sign in (1.0, -1.0):
            rows = torch.full((1, 1, 1, 1, 1), sign, dtype=torch.float64)
            found, offset = _through_max_pool(layer, rows, Box(low, high))
            room = sign * layer(corners).flatten() - (corners * found[0, 0]).flatten(1).sum(1) - offset[0, 0]
            assert float(room.min()) == pytest.approx(0, abs=1e-12)
