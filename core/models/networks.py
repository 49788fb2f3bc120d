"""The classifiers' networks that ship, on normalized images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)  # a batch norm follows: no bias


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the whole image says of it (Hu et al. 2018, equations 2-4): global context."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 4)
        self.excite = nn.Linear(channels // 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


class SEBlock(nn.Module):
    """A residual block with squeeze-and-excitation; N×I×H×W to N×O×H/stride×W/stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.context = SqueezeExcitation(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(_conv(inputs, outputs, stride, 1), nn.BatchNorm2d(outputs))
        )
        nn.init.zeros_(self.norm2.weight)  # the block begins as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.context(self.norm2(self.conv2(h)))
        return F.relu(h + self.shortcut(x))


class SEResNet(nn.Module):
    """A residual network with squeeze-and-excitation for photographs; N×3×H×W to N×K.

    The stem's first convolution has `first` channels; its second one strides or, with `pool`, is followed by a max-pool.
    """

    def __init__(
        self, classes: int, widths: tuple[int, ...], blocks: tuple[int, ...], first: int, pool: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(_conv(3, first, 2), nn.BatchNorm2d(first), nn.ReLU()),
            *(_conv(first, widths[0], 1 if pool else 2), nn.BatchNorm2d(widths[0]), nn.ReLU()),
            *((nn.MaxPool2d(2),) if pool else ()),
        )
        stages: list[nn.Module] = []
        inputs = widths[0]
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            strides = [1 if number == 0 else 2] + [1] * (count - 1)
            stages.append(
                nn.Sequential(*(SEBlock(inputs if i == 0 else width, width, s) for i, s in enumerate(strides)))
            )
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.stages(self.stem(x))
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]


class ResidualPair(nn.Module):
    """Convolution, max-pool, and a second convolution around which a shortcut runs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return h + F.gelu(self.norm2(self.conv2(h)))


class WhitenedResNet(nn.Module):
    """A small residual network behind a fixed 2×2 whitening convolution (Jordan 2024, airbench); N×3×32×32 to N×10."""

    def __init__(self, classes: int = 10, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2, bias=True)
        self.stages = nn.Sequential(
            ResidualPair(24, widths[0]), ResidualPair(widths[0], widths[1]), ResidualPair(widths[1], widths[2])
        )
        self.head = nn.Linear(widths[2], classes, bias=False)

    @torch.no_grad()
    def set_whitening(self, images: Tensor) -> None:
        """Fix the first layer to the whitening of 2×2 patches of normalized images N×3×H×W, each direction with both signs."""
        patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.whiten.weight.copy_(torch.cat([filters, -filters]))
        self.whiten.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.stages(F.gelu(self.whiten(x)))
        return self.head(features.amax((2, 3))) * 0.25  # type: ignore[no-any-return]


class VGG(nn.Module):
    """A VGG-like network with batch norm (Simonyan and Zisserman 2015); N×C×32×32 to N×10. Smaller images are padded with zeros."""

    def __init__(self, classes: int = 10, widths: tuple[int, ...] = (48, 96, 192, 384), channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for width in widths:
            for _ in range(2):
                layers += [_conv(inputs, width), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(inputs * 4, 256), nn.ReLU(), nn.Linear(256, classes))

    def forward(self, x: Tensor) -> Tensor:
        border = (32 - x.shape[3]) // 2
        return self.head(self.features(F.pad(x, (border,) * 4) if border else x))  # type: ignore[no-any-return]


class AlexNet(nn.Module):
    """AlexNet for small images (Krizhevsky et al. 2012): 5 convolutions, 3 fully connected layers; N×3×32×32 to N×10.

    The widths are those of one of its two columns; the first convolution is 5×5 without a stride, since 32 pixels have none to spare.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Conv2d(48, 128, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Conv2d(128, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        )
        self.head = nn.Sequential(
            *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, 512), nn.ReLU()),
            *(nn.Dropout(0.3), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, classes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


class DigitA(nn.Module):
    """Model A of DKN: 4 convolutions, 2 max-pools, 3 fully connected layers; N×1×28×28 to N×10, padded to 32 inside."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.head = nn.Sequential(
            *(nn.Flatten(), nn.Linear(64 * 8 * 8, 200), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, classes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(_to_32(x)))  # type: ignore[no-any-return]


class DigitB(nn.Module):
    """Model B of DKN: 4 convolutions, 4 max-pools, 1 fully connected layer; N×1×28×28 to N×10, padded to 32 inside."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 32), (32, 64), (64, 128), (128, 128)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128 * 2 * 2, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(_to_32(x)))  # type: ignore[no-any-return]


class SmallCNN(nn.Module):
    """The network that Sivamani 2019 attacks (section 4.2): 2 convolutions, 2 max-pools, 2 fully connected layers; N×1×28×28 to N×10."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


class TwoLayerNetwork(nn.Sequential):
    """One hidden layer of 500 ReLUs, as the flow certificate needs it (Nguyen 2018, section 4.1); N×1×28×28 to N×10."""

    def __init__(self, classes: int = 10, inputs: int = 784, hidden: int = 500) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def _to_32(x: Tensor) -> Tensor:
    """Pad 28×28 to 32×32 with the darkest value there is, as DKN pads with zeros before normalization."""
    return F.pad(x, (2, 2, 2, 2), value=float(-0.1307 / 0.3081))
