"""Denoising networks: layer by layer as in the papers, and per-pixel convolution against a naive loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import domains
from core.inputs import InvalidInput
from core.models.architectures import ARCHITECTURES, Shape
from core.models.denoisers import Autoencoder, DUNet, KernelPredictionNet, UNet, identity_kernels
from core.models.loss_network import LossNetwork
from core.models.networks import SmallCNN
from core.models.per_pixel import contributions, per_pixel_convolution

ROOT = Path(__file__).resolve().parents[3]


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def naive(images: Tensor, kernels: Tensor) -> Tensor:
    """Equation 3 of Hao et al. 2019, value by value."""
    n, count, channels, height, width = kernels.shape
    side = int(count**0.5)
    padded = F.pad(images, (side // 2,) * 4)
    result = torch.zeros_like(images)
    for a in range(n):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    for i in range(count):
                        result[a, c, y, x] += kernels[a, i, c, y, x] * padded[a, c, y + i // side, x + i % side]
    return result / count


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_per_pixel_convolution_is_the_naive_loop(side: int, layout: torch.memory_format) -> None:
    images = draw(2, 3, 6, 5).contiguous(memory_format=layout)
    predicted = draw(2, side * side * 3, 6, 5, seed=1).contiguous(memory_format=layout)
    kernels = predicted.view(2, side * side, 3, 6, 5)
    expected = naive(images, kernels)
    assert torch.allclose(per_pixel_convolution(images, kernels), expected, atol=1e-6)
    assert torch.allclose(contributions(images, kernels).sum(1), expected, atol=1e-6)


def test_its_gradients_are_those_of_finite_differences() -> None:
    images = draw(2, 2, 4, 5, dtype=torch.float64).requires_grad_(True)
    kernels = draw(2, 9, 2, 4, 5, seed=1, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(per_pixel_convolution, (images, kernels))
    assert torch.autograd.gradcheck(lambda x: per_pixel_convolution(x, kernels.detach()), (images,))


def test_identity_kernels_return_the_image() -> None:
    images = draw(2, 3, 8, 8)
    kernels = identity_kernels(3, 5)[None, :, :, None, None].expand(2, -1, -1, 8, 8)
    assert torch.allclose(per_pixel_convolution(images, kernels), images, rtol=1e-6, atol=0)


MEMORY = """
import sys, torch
from torch.nn import functional as F
from core.models.per_pixel import per_pixel_convolution

torch.set_num_threads(1)
images = torch.rand(64, 3, 64, 64)
kernels = torch.rand(64, 25, 3, 64, 64)  # 314 MB
def unfold(images, kernels):
    n, c, h, w = images.shape
    copies = F.unfold(images, 5, padding=2).view(n, c, 25, h, w).transpose(1, 2)
    return (kernels * copies).mean(1)
def high():  # kB; ru_maxrss would be what the parent process had
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
open("/proc/self/clear_refs", "w").write("5")  # the high-water mark begins anew
before = high()
with torch.no_grad():
    (per_pixel_convolution if sys.argv[1] == "ours" else unfold)(images, kernels)
print(high() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark of memory")
def test_it_holds_no_copies_of_the_batch() -> None:
    """At most a third of the memory of the form that unfolds; the kernels themselves are not counted."""

    def peak(which: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, which], cwd=ROOT, check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert peak("ours") < peak("unfold") / 3


def shapes(
    network: nn.Module, images: Tensor, kind: type[nn.Module] | tuple[type[nn.Module], ...]
) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, output: seen.append(tuple(output.shape[1:])))
        for module in network.modules()
        if isinstance(module, kind)
    ]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return seen


def test_the_autoencoder_is_the_papers_layer_by_layer() -> None:
    network = Autoencoder()
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.ConvTranspose2d)
    assert shapes(network, torch.rand(2, 1, 28, 28), kinds) == [
        *((16, 10, 10), (16, 5, 5), (8, 3, 3), (8, 2, 2)),
        *((16, 5, 5), (8, 15, 15), (1, 28, 28)),
    ]
    assert isinstance(network.decoder[-1], nn.Tanh)


def test_the_attacked_network_is_the_papers_layer_by_layer() -> None:
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.Linear)
    assert shapes(SmallCNN(), torch.rand(2, 1, 28, 28), kinds) == [
        *((20, 24, 24), (20, 12, 12), (50, 8, 8), (50, 4, 4), (500,), (10,)),
    ]


def test_the_unet_halves_and_doubles() -> None:
    network = UNet(3, (8, 12, 16))
    convolved = shapes(network, torch.rand(2, 3, 32, 32), nn.Conv2d)
    assert convolved == [
        *((8, 32, 32), (8, 32, 32), (12, 16, 16), (12, 16, 16), (16, 8, 8), (16, 8, 8)),
        *((12, 16, 16), (12, 16, 16), (8, 32, 32), (8, 32, 32)),
    ]
    assert network(torch.rand(1, 3, 30, 27)).shape == (1, 8, 30, 27), "sides that do not halve evenly"


@pytest.mark.parametrize(
    "network", [DUNet(3), KernelPredictionNet(3), DUNet(1, (4, 8)), KernelPredictionNet(1, (4, 8), 3)]
)
def test_a_denoiser_begins_as_the_identity(network: nn.Module) -> None:
    images = torch.rand(2, 1 if network.features.down[0][0].in_channels == 1 else 3, 28, 28)
    assert torch.allclose(network.eval()(images), images, atol=1e-6)


def test_a_denoiser_subtracts_the_noise_that_it_predicts() -> None:
    network = DUNet(3, (4, 8)).eval()
    nn.init.normal_(network.noise.weight)
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(network(images), images - network.noise(network.features(images)))


def test_known_size_of_the_denoiser_of_cifar10() -> None:
    """The widths 24, 48, 96, 96 that are known to work make 0.68 M weights."""
    network = ARCHITECTURES.build("dunet", "denoiser", Shape(3, 32, 10))
    assert sum(p.numel() for p in network.parameters()) == 681_555


def test_a_loss_network_gives_the_features_of_its_layers_and_the_logits() -> None:
    vgg = domains.get("cifar10").classifier("vgg", "cpu")
    network = LossNetwork(vgg, ("features.27", "features.20", "features.13"))
    images = torch.rand(2, 3, 32, 32)
    features, logits = network(images)
    assert [tuple(one.shape[1:]) for one in features] == [(384, 2, 2), (192, 4, 4), (96, 8, 8)], "pools 4, 3 and 2"
    assert torch.equal(logits, vgg(images)) and network.observes(vgg) and not network.seen
    normalized = (images - vgg.mean) / vgg.std
    assert torch.allclose(features[2], vgg.network.features[:14](normalized), atol=1e-5)  # type: ignore[index, union-attr]


def test_a_loss_network_takes_images_of_another_form() -> None:
    network = LossNetwork(domains.get("cifar10").classifier("vgg", "cpu"), ("features.13",))
    gray = torch.rand(2, 1, 28, 28)
    wanted = F.pad(gray.expand(-1, 3, -1, -1), (2, 2, 2, 2))
    assert torch.equal(network(gray)[1], network(wanted)[1])
    assert network(torch.rand(1, 3, 64, 64))[1].shape == (1, 10)


def test_a_layer_that_is_not_there_gets_a_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"has no layer called 'hal'; name layers such as"):
        LossNetwork(domains.get("cifar10").classifier("vgg", "cpu"), ("hal",))
    with pytest.raises(InvalidInput, match="no layer named"):
        LossNetwork(domains.get("cifar10").classifier("vgg", "cpu"), ())
