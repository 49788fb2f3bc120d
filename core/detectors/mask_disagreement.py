"""Attention masks as a detector (Nguyen 2018), with the paper's masks and with ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from pydantic import PrivateAttr
from torch import Tensor

from core.declaration import Parameter, choice
from core.detectors.base import Detector
from core.domains.base import Domain
from core.explain import masks
from core.explain.masks import Attention
from core.inputs import InvalidInput, quoted
from core.models.classifier import Classifier


class MaskDisagreement(Detector):
    """The log-odds that f2 gives its likeliest other class against the class that f1 predicts (Nguyen 2018, figure 3).

    f1 is the classifier; f2 classifies the image's attention mask. Above 0 they disagree, which is the paper's rule. The masks may
    belong to another classifier of the domain: then they transfer.
    """

    name: ClassVar[str] = "mask_disagreement"
    title: ClassVar[str] = "Mask disagreement (LAN)"
    summary: ClassVar[str] = "The mask of what the classifier needs is read by a second network: they should agree."
    paper: ClassVar[str] = "Nguyen 2018, section 3"
    default_threshold: ClassVar[float | None] = 0.0
    kind: ClassVar[masks.Kind] = "fc"

    weights: str = choice("", help="Which mask generator; the middle β of the domain's without it.")

    _loaded: dict[tuple[str, str], Attention] = PrivateAttr(default_factory=dict)  # by domain and device

    @classmethod
    def available(cls, domain_name: str | None = None) -> tuple[str, ...]:
        """The mask generators of this kind by name, by β; of a domain, or of all."""
        return tuple(name for name in masks.names(domain_name) if masks.card(name).architecture == cls.kind)

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        help = str(cls.model_fields["weights"].description)
        return (Parameter("weights", "choice", "", help, choices=("", *cls.available())),)

    @classmethod
    def fits(cls, domain: Domain) -> bool:
        return bool(cls.available(domain.name))

    def check(self, written: Mapping[str, Any]) -> None:
        if self.weights and self.weights not in self.available():
            names = ", ".join(self.available())
            raise InvalidInput(f"{self.title} has no weights called {quoted(self.weights)}; there are {names}.")

    def resolved(self, domain: Domain) -> Self:
        names = self.available(domain.name)
        if not names:
            raise InvalidInput(f"{domain.title} has no attention masks for {self.title}.")
        if self.weights and self.weights not in names:
            raise InvalidInput(f"The masks {self.weights} are not for {domain.title}, which has {', '.join(names)}.")
        return type(self)(weights=self.weights or names[len(names) // 2])

    def checksums(self) -> dict[str, str]:
        return {self.weights: masks.card(self.weights).sha256}

    def check_classifier(self, classifier: Classifier) -> None:
        if self.weights:
            domain = masks.card(self.weights).domain
            if domain != classifier.domain:
                raise InvalidInput(f"These attention masks belong to {domain!r}, not to {classifier.domain!r}.")
        elif not self.available(classifier.domain):
            raise InvalidInput(f"There are no attention masks for {classifier.title}.")

    @property
    def attention(self) -> Attention:
        """The mask generator and f2, on the classifier's device.

        Raises:
            InvalidInput: the file of the weights is damaged.
        """
        device, domain = str(self.classifier.device), self.classifier.domain
        if (domain, device) not in self._loaded:
            names = self.available(domain)
            self._loaded[domain, device] = masks.load(self.weights or names[len(names) // 2], device)
        return self._loaded[domain, device]

    def score(self, images: Tensor) -> Tensor:
        images = self.classifier.accepted(images)
        predicted = self.classifier(images).argmax(1, keepdim=True)
        read = self.attention.classify_mask(images).log_softmax(1)
        rival = read.scatter(1, predicted, -torch.inf).amax(1)
        return rival - read.gather(1, predicted)[:, 0]

    @torch.no_grad()
    def corrected_label(self, images: Tensor) -> Tensor:
        """The class that f2 predicts from the masks."""
        return self.attention.classify_mask(self.classifier.accepted(images)).argmax(1)


class ConvolutionalMasks(MaskDisagreement):
    """The same with our masks, which a convolutional network makes from the classifier's features."""

    name: ClassVar[str] = "convolutional_masks"
    title: ClassVar[str] = "Convolutional masks (ours)"
    summary: ClassVar[str] = (
        "Masks made from what the classifier's own convolutions say: sharper and with fewer false alarms, but an attack on this "
        "very classifier moves them along."
    )
    kind: ClassVar[masks.Kind] = "conv"
