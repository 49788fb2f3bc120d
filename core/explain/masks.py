"""Attention masks: the latent attention network (Grimm et al. 2017; Nguyen 2018, equations 8 and 9) and who reads its masks.

The generator says how much of each value of an image can be replaced by noise before the classifier changes its mind. What is
shown is the rest: an attention mask, bright where the classifier needs the image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import domains
from core.inputs import InvalidInput
from core.models import artifacts
from core.models.artifacts import Artifact
from core.models.cards import Card
from core.models.classifier import Classifier

HIDDEN = 256

Kind = Literal["fc", "conv"]
Distance = Callable[[Tensor, Tensor], Tensor]  # the classifier's outputs on x̃ and on x, N×K each, to N


class FullyConnected(nn.Module):
    """The paper's mask generator: three fully connected layers; N×C×H×W in [0, 1] to A of the same shape in [0, 1]."""

    def __init__(self, channels: int, size: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        values = channels * size * size
        self.layers = nn.Sequential(
            *(nn.Flatten(), nn.Linear(values, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, values),
        )

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(images - 0.5)).view_as(images)


class Convolutional(nn.Module):
    """Ours: from what the classifier's own convolutions say, coarse to fine, so that an object is found wherever it lies.

    N×C×H×W in [0, 1] to A of the same shape in [0, 1]. What stands before each pooling is read side by side (hypercolumns; Hariharan et al.
    2015), as the masks of Dabkowski and Gal (2017) read a classifier. A network of convolutions that saw the pixels alone gave up one
    side of CIFAR-10's images whatever was in them: the edge told it where it was.

    Raises:
        InvalidInput: the classifier's convolutions are not one sequence.
    """

    def __init__(self, classifier: Classifier, width: int = 24) -> None:
        super().__init__()
        features = getattr(classifier.network, "features", None)
        if not isinstance(features, nn.Sequential):
            raise InvalidInput(f"{classifier.title} has no sequence of convolutions that masks could be made from.")
        # In a tuple: these weights are the classifier's and do not belong to this network.
        self._eyes = (features, classifier.mean, classifier.std)
        with torch.no_grad():
            levels = self._seen(
                torch.zeros(1, classifier.channels, classifier.size, classifier.size, device=classifier.device)
            )
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(level.shape[1], width, 1, bias=False), nn.BatchNorm2d(width)) for level in levels
        )
        self.mixed = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect", bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for _ in levels
        )
        self.last = nn.Conv2d(width, classifier.channels, 1)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # half noise everywhere, at first

    def _seen(self, images: Tensor) -> list[Tensor]:
        """What the classifier's convolutions say before each pooling, and in the end; the coarsest first."""
        features, mean, std = self._eyes
        seen: list[Tensor] = []
        h = (images - mean) / std
        for layer in features:
            if isinstance(layer, nn.MaxPool2d):
                seen.append(h)
            h = layer(h)
        return [h, *reversed(seen)]

    def forward(self, images: Tensor) -> Tensor:
        h: Tensor | None = None
        for level, mixed, seen in zip(self.levels, self.mixed, self._seen(images), strict=True):
            fine = level(seen)
            h = mixed(F.relu(fine if h is None else fine + F.interpolate(h, size=fine.shape[2:])))
        assert h is not None
        return torch.sigmoid(self.last(h))


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998), the paper's f2: attention masks N×C×H×W, 28 or 32 pixels, to logits N×K."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.head = nn.Sequential(
            *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()),
            nn.Linear(84, classes),
        )

    def forward(self, masks: Tensor) -> Tensor:
        edge = (32 - masks.shape[-1]) // 2
        logits: Tensor = self.head(self.features(F.pad(masks - 0.5, (edge,) * 4)))
        return logits


class Attention(nn.Module):
    """A mask generator and the network that reads its masks, frozen.

    Attributes:
        about: its card.
    """

    def __init__(self, generator: nn.Module, reader: nn.Module, *, about: Card) -> None:
        super().__init__()
        self.generator, self.reader = generator, reader
        self.about = about
        self.requires_grad_(False)
        self.eval()

    def noise_mask(self, images: Tensor) -> Tensor:
        """A(x) of N×C×H×W in [0, 1]: how much of each value may be noise; the same shape."""
        noise_mask: Tensor = self.generator(images)
        return noise_mask

    def mask(self, images: Tensor) -> Tensor:
        """The attention mask 1 − A(x), N×C×H×W: bright where the classifier needs the image."""
        return 1 - self.noise_mask(images)

    def classify_mask(self, images: Tensor) -> Tensor:
        """f2's logits N×K on the masks of images N×C×H×W."""
        logits: Tensor = self.reader(self.mask(images))
        return logits

    def corrupted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """x̃ of N×C×H×W with one draw of the noise (equation 8)."""
        return mix_noise(images, self.noise_mask(images), noise_like(images, generator))


def noise_like(images: Tensor, generator: torch.Generator) -> Tensor:
    """η: every value drawn evenly from [0, 1], of the shape and on the device of `images`."""
    return torch.rand(images.shape, generator=generator).to(images.device)


def mix_noise(images: Tensor, noise_mask: Tensor, noise: Tensor) -> Tensor:
    """x̃ = A·η + (1 − A)·x (equation 8); all N×C×H×W."""
    return noise_mask * noise + (1 - noise_mask) * images


def cross_entropy(outputs: Tensor, clean: Tensor) -> Tensor:
    """L_F for a classifier: the cross-entropy of logits N×K against the probabilities of the clean logits; N."""
    return F.cross_entropy(outputs, clean.softmax(1), reduction="none")


def squared_error(outputs: Tensor, clean: Tensor) -> Tensor:
    """L_F for a regression: the squared distance of outputs N×K; N."""
    return (outputs - clean).square().sum(1)


def attention_loss(
    outputs: Tensor, clean: Tensor, noise_mask: Tensor, beta: float, distance: Distance = cross_entropy
) -> Tensor:
    """L_F(F(x̃), F(x)) − β·mean(A) of each image, N (equation 9 for one draw of the noise)."""
    return distance(outputs, clean) - beta * noise_mask.flatten(1).mean(1)


def names(domain: str | None = None) -> tuple[str, ...]:
    """The mask generators of a domain, or of all, by name: the paper's before ours, by β."""
    generators = artifacts.list_artifacts("mask_generator", domain)
    return tuple(
        a.name for a in sorted(generators, key=lambda a: (not a.shipped, a.card.architecture != "fc", beta(a.card)))
    )


def find(domain: str, form: Kind, beta_value: float) -> str:
    """The name of a domain's generator of that kind and β.

    Raises:
        InvalidInput: there is none.
    """
    for name in names(domain):
        about = card(name)
        if about.architecture == form and beta(about) == beta_value:
            return name
    raise InvalidInput(f"There are no attention masks of kind {form!r} with β {beta_value:g} for {domain!r}.")


def card(name: str) -> Card:
    """The card of the mask generator of that name.

    Raises:
        InvalidInput: there is none.
    """
    return artifacts.find_artifact("mask_generator", name).card


def kind(about: Card) -> Kind:
    """Of which kind a mask generator is."""
    return "fc" if about.architecture == "fc" else "conv"


def beta(about: Card) -> float:
    """The reward of noise_mask that a mask generator was trained with."""
    return float(about.hyperparameters["beta"])


def build_generator(form: Kind, classifier: Classifier) -> nn.Module:
    """An untrained generator of masks for that classifier, on its device."""
    generator = FullyConnected(classifier.channels, classifier.size) if form == "fc" else Convolutional(classifier)
    return generator.to(classifier.device)


def load(name: str, device: str = "cpu") -> Attention:
    """A trained generator with its reader, on `device`; loaded once.

    Raises:
        InvalidInput: there is none of that name, or its file does not fit its card.
    """
    artifact = artifacts.find_artifact("mask_generator", name)
    return _loaded(name, artifact.card.sha256, device)


@lru_cache(maxsize=8)
def _loaded(name: str, _sha256: str, device: str) -> Attention:
    return load_attention(artifacts.find_artifact("mask_generator", name), device)


def load_attention(artifact: Artifact, device: str = "cpu") -> Attention:
    """The generator and its reader of that artifact, on `device`.

    Raises:
        InvalidInput: its classifier is not there, or its file does not fit its card.
    """
    about = artifact.card
    classifier = domains.get(about.domain).classifier(about.trained_against, device)
    if (about.channels, about.size) != (classifier.channels, classifier.size):
        raise InvalidInput(
            f"The masks {artifact.name} are for images of {about.size}×{about.size} pixels and {about.channels} channels; "
            f"their classifier takes {classifier.size}×{classifier.size} and {classifier.channels}."
        )
    with torch.inference_mode(False):
        attention = Attention(
            build_generator(kind(about), classifier), LeNet(about.channels, len(classifier.classes)), about=about
        )
        artifacts.load_weights(artifact, attention)
    return attention.to(device)
