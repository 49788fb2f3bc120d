"""Folding a batch norm into the convolution before it: against the network as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from core.models.folding import fuse_conv_bn


def unlike_new(network: nn.Module) -> nn.Module:
    """Batch norms that do something, as after a training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "left"), [("mobilenet_v2", 0), ("resnet18", 0), ("densenet121", 62), ("squeezenet1_0", 0)]
)
@torch.no_grad()
def test_a_folded_network_says_the_same_with_fewer_layers(name: str, left: int) -> None:
    """DenseNet normalizes before it convolves: only the norms between two convolutions go."""
    torch.manual_seed(0)
    network = unlike_new(get_model(name, weights=None))
    images = torch.rand(2, 3, 64, 64)
    before = network(images)
    folded = fuse_conv_bn(network, images[:1])
    assert norms(folded) == left
    torch.testing.assert_close(folded(images), before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not folded.training


class Shared(nn.Module):
    """What the convolution says is looked at twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return (self.norm(h) + h).mean((2, 3))  # type: ignore[no-any-return]


class Twice(nn.Module):
    """One norm behind two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return (self.norm(self.first(x)) + self.norm(self.second(x))).mean((2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize("network", [Shared(), Twice()], ids=["shared", "twice"])
@torch.no_grad()
def test_what_cannot_be_folded_stays_as_it_is(network: nn.Module) -> None:
    images = torch.rand(2, 3, 8, 8)
    before = unlike_new(network)(images)
    folded = fuse_conv_bn(network, images)
    assert norms(folded) == 1 and torch.equal(folded(images), before)
