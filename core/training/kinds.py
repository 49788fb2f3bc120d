"""What each kind of artifact needs besides the trainer: its networks before, and its card with what was measured after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core import domains
from core.explain import masks
from core.models.architectures import ARCHITECTURES, Shape
from core.models.artifacts import (
    Artifact,
    build_network,
    find_artifact,
    load_classifier,
    load_weights,
    save,
    write_card,
)
from core.models.cards import Metric
from core.models.loss_network import LossNetwork
from core.models.networks import WhitenedResNet
from core.training.data import DATASETS, Data
from core.training.plans import TrainingPlan

Networks = dict[str, nn.Module]
Samples = Mapping[str, Tensor]  # uint8 N×C×H×W


class Normalized(nn.Module):
    """A network on images in [0, 1], which are normalized for it."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """Images N×C×H×W in [0, 1] as the network takes them."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalize(images))
        return logits


@dataclass(frozen=True)
class Kind:
    """How the networks of a plan begin, and what of them is written and measured in the end.

    Attributes:
        build: from a plan, its training data and a device to networks by name.
        export: from a plan, the trained networks, the test data, a folder and the card's fields to the artifact.
        samples: from the networks, images uint8 N×C×H×W and their crafted versions N×V×C×H×W (or None) to images by what they show.
    """

    build: Callable[[TrainingPlan, Data, torch.device], Networks]
    export: Callable[[TrainingPlan, Networks, Data, Path, dict[str, Any]], Artifact]
    samples: Callable[[Networks, Tensor, Tensor | None], Samples]


def card_fields(plan: TrainingPlan, command: str, seconds: float, device: str) -> dict[str, Any]:
    """What a card says of the plan, and of how long its training took on which device."""
    domain, dataset = domains.get(plan.domain), DATASETS[plan.dataset]
    same = ("kind", "title", "domain", "architecture", "trained_against", "mean", "std", "cam_layer", "description")
    return {
        **{name: getattr(plan, name) for name in same},
        **{"channels": domain.channels, "size": domain.size, "plan": plan.name, "data": dataset.description},
        **{"command": command, "seconds": round(seconds, 1), "device": device},
        **{"licence": f"weights: as Mirage; {dataset.licence}"},
    }


def _build_classifier(plan: TrainingPlan, data: Data, device: torch.device) -> Networks:
    domain = domains.get(plan.domain)
    shape = Shape(domain.channels, domain.size, len(domain.classes))
    network = Normalized(ARCHITECTURES.build(plan.architecture, "classifier", shape), plan.mean, plan.std)
    if plan.starts_from:
        load_weights(find_artifact("classifier", f"{plan.domain}_{plan.starts_from}"), network.network)
    elif isinstance(network.network, WhitenedResNet):
        network.network.set_whitening(network.normalize(data[0][:5000].float() / 255))
    return {"classifier": network.to(device)}


@torch.inference_mode()
def _export_classifier(
    plan: TrainingPlan, networks: Networks, test: Data, folder: Path, fields: dict[str, Any]
) -> Artifact:
    """Write the weights, and measure what was written: in float32, after the round trip through 16 bits."""
    network = networks["classifier"]
    assert isinstance(network, Normalized)
    artifact = save(network.network, plan.artifact, folder, **fields)
    classifier = load_classifier(artifact, domains.get(plan.domain).classes)
    correct = sum(int((classifier(x).argmax(1) == y).sum()) for x, y in _batches(test))
    count = len(test[1])
    metric = Metric(what="right on the test images", value=correct / count, correct=correct, count=count)
    return write_card(artifact, metrics=(metric,))


def _build_masks(plan: TrainingPlan, data: Data, device: torch.device) -> Networks:
    classifier = domains.get(plan.domain).classifier(plan.trained_against, str(device))
    return {
        "generator": masks.build_generator("fc" if plan.architecture == "fc" else "conv", classifier),
        "reader": masks.LeNet(classifier.channels, len(classifier.classes)).to(device),
        "classifier": classifier,
    }


@torch.inference_mode()
def _export_masks(plan: TrainingPlan, networks: Networks, test: Data, folder: Path, fields: dict[str, Any]) -> Artifact:
    """How often f2 is right on masks of test images, and how often f1 keeps its class on the corrupted ones."""
    both = nn.ModuleDict({name: networks[name] for name in ("generator", "reader")})
    beta = next(s.objective.params["beta"] for s in plan.stages if s.trains == "generator")
    parameters = sum(p.numel() for p in networks["generator"].parameters())
    artifact = save(both, plan.artifact, folder, **fields, parameters=parameters, hyperparameters={"beta": beta})
    attention = masks.load_attention(artifact)
    classifier = domains.get(plan.domain).classifier(plan.trained_against, "cpu")
    draw = torch.Generator().manual_seed(0)
    right = same_class = 0
    corrupted = 0.0
    for images, labels in _batches(test):
        right += int((attention.classify_mask(images).argmax(1) == labels).sum())
        same_class += int(
            (classifier(attention.corrupted(images, draw)).argmax(1) == classifier(images).argmax(1)).sum()
        )
        corrupted += float(attention.noise_mask(images).mean()) * len(images)
    count = len(test[1])
    metrics = (
        Metric(what="masks of test images that f2 reads right", value=right / count, correct=right, count=count),
        Metric(
            what="corrupted test images that keep f1's class", value=same_class / count, correct=same_class, count=count
        ),
        Metric(what="values that may be noise, the mean of A", value=corrupted / count, count=count),
    )
    return write_card(artifact, metrics=metrics)


def _build_denoiser(plan: TrainingPlan, data: Data, device: torch.device) -> Networks:
    domain = domains.get(plan.domain)
    shape = Shape(domain.channels, domain.size, len(domain.classes))
    classifier = domain.classifier(plan.trained_against, str(device))
    networks: Networks = {
        "denoiser": ARCHITECTURES.build(plan.architecture, "denoiser", shape).to(device),
        "classifier": classifier,
    }
    if plan.loss_network:
        other, _, name = plan.loss_network.partition("/")
        same = (other, name) == (plan.domain, plan.trained_against)
        observed = classifier if same else domains.get(other).classifier(name, str(device))
        networks["loss_network"] = LossNetwork(observed, plan.loss_layers)
    return networks


@torch.inference_mode()
def _export_denoiser(
    plan: TrainingPlan, networks: Networks, test: Data, folder: Path, fields: dict[str, Any]
) -> Artifact:
    """Write the weights, and measure them on clean test images after the round trip through 16 bits.

    What attacks do to it is measured by an evaluation: `python -m core measure NAME` adds that to the card.
    """
    params = plan.stages[-1].objective.params
    numbers = {name: value if isinstance(value, str) else float(value) for name, value in params.items()}
    artifact = save(networks["denoiser"], plan.artifact, folder, **fields, hyperparameters=numbers)
    with torch.inference_mode(False), torch.no_grad():
        denoiser = build_network(artifact)
        load_weights(artifact, denoiser)
        denoiser.eval()
        classifier = domains.get(plan.domain).classifier(plan.trained_against, "cpu")
        correct = bare = 0
        for images, labels in _batches(test):
            correct += int((classifier(denoiser(images).clamp(0, 1)).argmax(1) == labels).sum())
            bare += int((classifier(images).argmax(1) == labels).sum())
    count = len(test[1])
    metrics = (
        Metric(what="clean test images, right behind it", value=correct / count, correct=correct, count=count),
        Metric(what="clean test images, right without it", value=bare / count, correct=bare, count=count),
    )
    return write_card(artifact, metrics=metrics)


@torch.no_grad()
def _sample_masks(networks: Networks, images: Tensor, _crafted: Tensor | None) -> Samples:
    masks_of = 1 - networks["generator"](images.float() / 255).float()
    return {"image": images.cpu(), "attention mask": _pixels(masks_of)}


@torch.no_grad()
def _sample_denoiser(networks: Networks, images: Tensor, crafted: Tensor | None) -> Samples:
    attacked = images if crafted is None else crafted[:, -1]
    denoised = networks["denoiser"](attacked.float() / 255).float()
    return {"clean": images.cpu(), "adversarial": attacked.cpu(), "denoised": _pixels(denoised)}


def _pixels(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def _batches(data: Data) -> list[tuple[Tensor, Tensor]]:
    images, labels = data
    parts = zip(torch.split(images, 250), torch.split(labels, 250), strict=True)
    return [(part.float() / 255, truth) for part, truth in parts]


KINDS: Mapping[str, Kind] = {
    "classifier": Kind(
        _build_classifier, _export_classifier, lambda networks, images, crafted: {"training images": images.cpu()}
    ),
    "mask_generator": Kind(_build_masks, _export_masks, _sample_masks),
    "denoiser": Kind(_build_denoiser, _export_denoiser, _sample_denoiser),
}
