"""Denoising networks: N×C×H×W in [0, 1] to images of the same shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.per_pixel import per_pixel_convolution


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two convolutions with batch norm; the first one has the stride."""
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv2d(channels, outputs, 3, step, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015): N×C×H×W to N×O×H×W features.

    Each level after the first halves the resolution. On the way back, features are enlarged bilinearly and joined to those of the
    same resolution on the way down. Sides that are no multiple of 2^(levels - 1) are padded with zeros inside.

    Args:
        channels: C.
        widths: the channels of each level, the first at full resolution. O is the first of them.
    """

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (channels, *widths[:-1])
        self.down = nn.ModuleList(
            _block(i, o, 1 if n == 0 else 2) for n, (i, o) in enumerate(zip(inputs, widths, strict=True))
        )
        self.up = nn.ModuleList(
            _block(low + high, high) for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        multiple = 2 ** (len(self.down) - 1)
        bottom, right = -height % multiple, -width % multiple
        features = F.pad(images, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        lateral: list[Tensor] = []
        for block in self.down:
            features = block(features)
            lateral.append(features)
        lateral.pop()
        for block in self.up:
            beside = lateral.pop()
            larger = F.interpolate(features, size=beside.shape[2:], mode="bilinear", align_corners=False)
            features = block(torch.cat([larger, beside], 1))
        top, left = bottom // 2, right // 2
        return features[:, :, top : top + height, left : left + width]


class DUNet(nn.Module):
    """The denoising U-Net of Liao et al. 2018: it predicts the noise dx and takes it off, x̂ = x - dx.

    It begins as the identity.

    Args:
        channels: of the images.
        widths: as in `UNet`.
    """

    def __init__(self, channels: int, widths: tuple[int, ...] = (24, 48, 96, 96)) -> None:
        super().__init__()
        self.features = UNet(channels, widths)
        self.noise = nn.Conv2d(widths[0], channels, 1)
        nn.init.zeros_(self.noise.weight)
        nn.init.zeros_(self.noise.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        noise: Tensor = self.noise(self.features(images))
        return images - noise


class KernelPredictionNet(nn.Module):
    """The defense kernel network of Hao et al. 2019: a U-Net predicts m² weights for each value of the image.

    It begins with the kernels of the identity.

    Args:
        channels: of the images.
        widths: as in `UNet`.
        side: m, odd.
    """

    def __init__(self, channels: int, widths: tuple[int, ...] = (24, 48, 96, 96), side: int = 5) -> None:
        super().__init__()
        self.side, self.channels = side, channels
        self.features = UNet(channels, widths)
        self.head = nn.Conv2d(widths[0], side * side * channels, 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(identity_kernels(channels, side).flatten())  # type: ignore[union-attr]

    def kernels(self, images: Tensor) -> Tensor:
        """The weights D of equation 3, N×m²×C×H×W."""
        # The head's 1×1 convolution as a matrix product: kernel after kernel lies in memory, as per-pixel convolution reads them.
        features = self.features(images).flatten(2)
        weight, bias = self.head.weight.flatten(1), self.head.bias
        predicted: Tensor = torch.bmm(weight.expand(len(images), -1, -1), features).add_(bias[:, None])  # type: ignore[index]
        return predicted.view(len(images), self.side * self.side, self.channels, *images.shape[2:])

    def forward(self, images: Tensor) -> Tensor:
        return per_pixel_convolution(images, self.kernels(images).to(images.dtype))


def identity_kernels(channels: int, side: int) -> Tensor:
    """The m²×C weights of one pixel that leave it as it is: m² in the middle, which the mean of equation 3 makes 1."""
    kernels = torch.zeros(side * side, channels)
    kernels[side * side // 2] = side * side
    return kernels


class Autoencoder(nn.Module):
    """The denoising autoencoder of Sivamani 2019, section 4.2: N×1×28×28 to N×1×28×28.

    Inside, images lie in [-1, 1], because its last layer is tanh.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)),
            *(nn.Conv2d(16, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2, 1)),
        )
        self.decoder = nn.Sequential(
            *(nn.ConvTranspose2d(8, 16, 3, stride=2), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 8, 5, stride=3, padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(8, 1, 2, stride=2, padding=1), nn.Tanh()),
        )

    def forward(self, images: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(self.encoder(2 * images - 1))
        return (decoded + 1) / 2
