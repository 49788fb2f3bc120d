"""The contract of a defense with weights: a network from images to images, named by its artifact."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.declaration import Parameter, choice
from core.defenses.base import REGISTRY, Defense
from core.domains.base import Domain
from core.inputs import InvalidInput, quoted
from core.models import artifacts
from core.models.artifacts import Artifact
from core.models.copying import first_line
from core.models.folding import fuse_conv_bn

KEPT = 8  # networks in memory, over all devices


class LearnedDefense(Defense):
    """A denoiser with weights: x ↦ clip(network(x), 0, 1), N×C×H×W in [0, 1] to the same shape; its gradient is the true one.

    A subclass names itself with the class variables of `Configurable`. Its weights are artifacts of kind denoiser, the files of which
    are called NAME_WEIGHTS, NAME being the defense's. Declaring and validating one reads cards alone; the network is loaded at first
    use, once a device.

    Raises:
        InvalidInput: there are no such weights, or the images are not what they are for.
    """

    weights: str = choice("", help="Which weights: each belongs to the images of one domain.")

    @classmethod
    def available(cls, domain: Domain | None = None) -> dict[str, Artifact]:
        """The weights by name, those that ship first; of a domain, those that fit its images."""
        learned = [other.name for other in REGISTRY.classes.values() if issubclass(other, LearnedDefense)]
        longer = tuple(f"{name}_" for name in learned if name.startswith(f"{cls.name}_"))  # 'hgd_small' is no 'hgd'
        return {
            artifact.name.removeprefix(f"{cls.name}_"): artifact
            for artifact in artifacts.list_artifacts("denoiser", None if domain is None else domain.name)
            if artifact.name.startswith(f"{cls.name}_")
            and not artifact.name.startswith(longer)
            and (domain is None or domain.takes(artifact.card.channels, artifact.card.size))
        }

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        return cls._with_choices(("", *cls.available()))

    @classmethod
    def parameters_for(cls, domain: Domain) -> tuple[Parameter, ...]:
        return cls._with_choices(tuple(cls.available(domain)))

    @classmethod
    def _with_choices(cls, names: tuple[str, ...]) -> tuple[Parameter, ...]:
        about = str(cls.model_fields["weights"].description)
        weights = Parameter("weights", "choice", names[0] if names else "", about, choices=names)
        return weights, *(parameter for parameter in super().parameters() if parameter.name != "weights")

    @classmethod
    def fits(cls, domain: Domain) -> bool:
        return bool(cls.available(domain))

    def check(self, written: Mapping[str, Any]) -> None:
        if self.weights:
            self.artifact()

    def check_domain(self, domain: Domain) -> None:
        available = self.available()
        if self.weights in self.available(domain):
            return
        known = available.values() if self.weights not in available else (available[self.weights],)
        belongs = " and ".join(dict.fromkeys(_belongs(artifact) for artifact in known))
        raise InvalidInput(
            f"{self.title}{f' with the weights {self.weights!r}' if self.weights else ''} is for "
            f"{belongs or 'images that it has weights for; it has none yet'}, not for {domain.title}; "
            "choose another defense or another domain."
        )

    def artifact(self) -> Artifact:
        """The weights and their card.

        Raises:
            InvalidInput: there are none of that name.
        """
        available = self.available()
        if self.weights in available:
            return available[self.weights]
        if self.weights:
            artifacts.find_artifact("denoiser", f"{self.name}_{self.weights}")  # says what is wrong with its card
        problem = f"no weights called {quoted(self.weights)}" if self.weights else "several weights to choose from"
        raise InvalidInput(f"{self.title} has {problem}; name one of: {', '.join(available) or 'none yet'}.")

    def checksums(self) -> dict[str, str]:
        artifact = self.artifact()
        return {artifact.name: artifact.card.sha256}

    def network(self, images: Tensor) -> nn.Module:
        """The network with these weights, on the device of the images N×C×H×W.

        Raises:
            InvalidInput: the images are not what the weights are for, or the weights are unusable.
        """
        artifact = self.artifact()
        if tuple(images.shape[1:]) != (artifact.card.channels, artifact.card.size, artifact.card.size):
            raise InvalidInput(
                f"{self.title} with the weights {self.weights!r} is for {_belongs(artifact)}; "
                f"these images are {'×'.join(map(str, images.shape))}."
            )
        return _networks.get(artifact, images.device)

    def apply(self, images: Tensor) -> Tensor:
        denoised: Tensor = self.network(images)(images.float())
        return denoised.clamp(0, 1).to(images.dtype)


def _belongs(artifact: Artifact) -> str:
    card = artifact.card
    return f"images of the domain {card.domain!r} ({card.size}×{card.size}, {card.channels} channels)"


class _Networks:
    """The networks that were used last, each loaded once a device, whichever thread asks first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cached: OrderedDict[tuple[str, Path, str, str], nn.Module] = OrderedDict()

    def get(self, artifact: Artifact, device: torch.device) -> nn.Module:
        key = (artifact.name, artifact.folder, artifact.card.sha256, str(device))
        with self.lock:
            if key not in self.cached:
                self.cached[key] = _load(artifact, device)
            self.cached.move_to_end(key)
            while len(self.cached) > KEPT:
                self.cached.popitem(last=False)
            return self.cached[key]


def _load(artifact: Artifact, device: torch.device) -> nn.Module:
    """The artifact's network, frozen, in eval mode, after one gray image has gone through it.

    Raises:
        InvalidInput: its files are unusable, or it does not map images to images.
    """
    card = artifact.card
    with torch.inference_mode(False), torch.no_grad():
        network = artifacts.build_network(artifact)
        artifacts.load_weights(artifact, network)
        network.requires_grad_(False).eval().to(device)
        gray = torch.full((1, card.channels, card.size, card.size), 0.5, device=device)
        try:
            answer = network(gray)
        except Exception as error:  # a plugin's own code runs here
            raise InvalidInput(f"The network of {artifact.name} fails on one image: {first_line(error)}.") from error
        if not isinstance(answer, Tensor) or answer.shape != gray.shape or not bool(answer.isfinite().all()):
            raise InvalidInput(f"The network of {artifact.name} must map images to finite images of the same shape.")
        return prepared(network, gray)


def prepared(network: nn.Module, example: Tensor) -> nn.Module:
    """The network in the form in which it denoises fastest: batch norms folded into convolutions, channels last in memory."""
    return fuse_conv_bn(network, example).to(memory_format=torch.channels_last)


_networks = _Networks()
