"""A classifier as the rest of the house knows it: pictures in [0, 1] to logits, frozen, in eval mode."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor, nn

from core.cancellation import check
from core.random_streams import AttackLooks


class Classifier(nn.Module):
    """From float32 N×C×H×W in [0, 1] to logits N×K; the normalisation is inside, the mode and the weights never change.

    Attributes:
        name, title: as in a recipe and as on the screen.
        domain: the domain it belongs to.
        classes: the class names in the order of the logits.
        size, channels: of the pictures it takes, size×size.
        cam_layer: the dotted name of the layer that Grad-CAM looks at.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        title: str,
        domain: str,
        classes: tuple[str, ...],
        size: int,
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        cam_layer: str,
    ) -> None:
        super().__init__()
        # Where the weights' channels lie side by side, so do those of all that a convolution makes: a third faster on a CPU.
        self.network = network.to(memory_format=torch.channels_last)
        self.name, self.title, self.domain, self.classes = name, title, domain, classes
        self.size, self.channels, self.cam_layer = size, channels, cam_layer
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: an attack that switches dropout or batch statistics on attacks another network."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def cam_module(self) -> nn.Module:
        """The layer that Grad-CAM looks at."""
        return self.network.get_submodule(self.cam_layer)

    @property
    def surrogate(self) -> Classifier:
        """What an attacker differentiates: this classifier, unless a defense is unknown to the attacker."""
        return self

    def in_attack(self, looks: AttackLooks) -> Classifier:
        """This classifier to one attack, whose own draws come from `looks`; itself where nothing is drawn."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of images N×C×H×W in [0, 1], on this classifier's device."""
        check()
        images = images.to(self.device)
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


class Wrapper(Classifier):
    """A classifier around another one, which it passes for: the same name, classes, size and device."""

    def __init__(self, classifier: Classifier) -> None:
        nn.Module.__init__(self)
        self.classifier = classifier
        for name in ("name", "title", "domain", "classes", "size", "channels"):
            setattr(self, name, getattr(classifier, name))
        nn.Module.train(self, False)

    def around(self, classifier: Classifier) -> Self:
        """The same wrapper around another classifier; this one stays as it is."""
        twin = copy(self)
        twin._modules = {**self._modules, "classifier": classifier}
        return twin

    @property
    def surrogate(self) -> Classifier:
        """The same wrapper around what an attacker differentiates of the inner classifier."""
        inner = self.classifier.surrogate
        return self if inner is self.classifier else self.around(inner)

    def in_attack(self, looks: AttackLooks) -> Classifier:
        inner = self.classifier.in_attack(looks)
        return self if inner is self.classifier else self.around(inner)

    @property
    def cam_module(self) -> nn.Module:
        return self.classifier.cam_module

    @property
    def device(self) -> torch.device:
        return self.classifier.device
