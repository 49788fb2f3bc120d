"""Tiny classifiers whose gradients are known, and images for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.models.classifier import Classifier
from core.random_streams import RandomStreams, draw_seed


def classifier(network: nn.Module, classes: int, size: int = 8, channels: int = 3) -> Classifier:
    """A network as a classifier without normalization."""
    return Classifier(
        network,
        name="tiny",
        title="Tiny",
        domain="photos",
        classes=tuple(f"class {n}" for n in range(classes)),
        size=size,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        cam_layer="0",
    )


def curved(seed: int = 0, classes: int = 4) -> Classifier:
    """A small network with dropout, so that a changed mode would show."""
    torch.manual_seed(seed)
    return classifier(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(512, 32),
            nn.Tanh(),
            nn.Linear(32, classes),
        ),
        classes,
    )


def linear(seed: int = 0, classes: int = 3) -> Classifier:
    """Logits W·x: the gradient is the same everywhere."""
    torch.manual_seed(seed)
    return classifier(nn.Sequential(nn.Flatten(), nn.Linear(192, classes, bias=False)), classes)


def streams_of(images: Tensor, seed: int) -> RandomStreams:
    """The streams of an attack on those images with a generator of that seed."""
    generator = torch.Generator().manual_seed(seed)
    draw_seed(generator)  # the first number is for a randomized defense
    return RandomStreams.of(images, generator)


def random_images(count: int = 6, seed: int = 0) -> Tensor:
    """8-bit images 3×8×8 in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=generator) / 255
