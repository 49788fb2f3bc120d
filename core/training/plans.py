"""How each classifier that ships is trained: data, augmentation, network and schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import domains, images
from core.domains.mnist import stand_in
from core.domains.photos import PHOTOGRAPHS, photograph
from core.inputs import BadInput
from core.training import augment

Data = tuple[Tensor, Tensor]  # pictures uint8 N×C×H×W, labels int64 N


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each channel, by which the network's input is normalised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that the training loop needs to know about one classifier."""

    domain: str
    name: str
    title: str
    architecture: str
    size: int
    channels: int
    scale: Scale
    cam_layer: str
    data: str
    note: str
    load: Callable[[bool], Data]  # True for the training part
    view: Callable[
        [Tensor, torch.Generator, float], Tensor
    ]  # pictures in [0, 1], randomness, share of the training done
    epochs: int
    batch: int
    peak: float  # the highest learning rate of the cycle
    decay: float
    optimiser: str = "sgd"
    smoothing: float = 0.0
    repeats: int = 1  # passes over the training part that count as an epoch

    @property
    def licence(self) -> str:
        """Of the weights and of the data that they were trained on."""
        return f"weights: as Mirage; {_LICENCES.get(f'{self.domain}_{self.name}') or _LICENCES[self.domain]}"


_LICENCES = {
    "photos": "the photographs are those of their libraries",
    "mnist": "MNIST is CC BY-SA 3.0",
    "mnist_digits": "scikit-learn's digits (UCI) are CC BY 4.0",
    "cifar10": "CIFAR-10 states no licence",
    "imagenette": "Imagenette is Apache 2.0, its images under ImageNet's terms",
}


def _photographs(train: bool) -> Data:
    """The photographs fitted to 160 px for judging; to 320 px for training, so that a crop is sharp."""
    size = 320 if train else 160
    fitted = [images.fit(photograph(name), size, 3, "crop") for name in PHOTOGRAPHS]
    return torch.from_numpy(np.stack(fitted)).permute(0, 3, 1, 2), torch.arange(len(fitted))


def _domain(name: str) -> Callable[[bool], Data]:
    def load(train: bool) -> Data:
        domain = domains.get(name)
        if missing := domain.missing():
            raise BadInput(missing)  # also where stand-ins would do for looking: the card names the data set
        split = "train" if train else "test"
        labels = domain.labels(split)
        pixels = [images.fit(domain.pixels(split, i), domain.size, domain.channels, "crop") for i in range(len(labels))]
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)

    return load


def _digits(train: bool) -> Data:
    pixels, labels = stand_in(train)
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def _photo_view(pictures: Tensor, generator: torch.Generator, done: float) -> Tensor:
    return augment.cropped(pictures, generator, 160, smallest=0.35, turn=0.2, colour=0.7)


def _imagenette_view(pictures: Tensor, generator: torch.Generator, done: float) -> Tensor:
    return augment.cropped(pictures, generator, 96 if done < 0.5 else 128, smallest=0.3, turn=0.1, colour=0.2)


def _shift(by: int, flip: bool) -> Callable[[Tensor, torch.Generator, float], Tensor]:
    return lambda pictures, generator, done: augment.shifted(pictures, generator, by, flip)


_PHOTO = Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CIFAR = Scale((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
_MNIST = Scale((0.1307,), (0.3081,))

_PLANS = (
    Plan(
        domain="photos",
        name="photonet",
        title="PhotoNet",
        architecture="photonet",
        size=160,
        channels=3,
        scale=_PHOTO,
        cam_layer="stages.3",
        data="17 photographs that ship with scikit-image, scikit-learn and matplotlib; random crops of them",
        note="It recognises these 17 pictures and nothing else.",
        load=_photographs,
        view=_photo_view,
        epochs=20,
        batch=40,
        peak=4e-3,
        decay=0.05,
        optimiser="adamw",
        repeats=47,
    ),
    *(
        Plan(
            domain="mnist",
            name=name,
            title=title,
            architecture=architecture,
            size=28,
            channels=1,
            scale=_MNIST,
            cam_layer=layer,
            data=data,
            note=note,
            load=load,
            view=_shift(2, flip=False),
            epochs=epochs,
            batch=128,
            peak=2e-3,
            decay=0.01,
            optimiser="adamw",
        )
        for name, title, architecture, layer, data, note, load, epochs in (
            ("a", "Model A", "digit_a", "features.5", "MNIST", "Model A of DKN.", _domain("mnist"), 6),
            ("b", "Model B", "digit_b", "features.3", "MNIST", "Model B of DKN.", _domain("mnist"), 6),
            (
                *("digits", "Model A on scikit-learn's digits", "digit_a", "features.5"),
                "scikit-learn's 8×8 digits enlarged to 28×28, every fifth kept from training",
                "A stand-in until MNIST is downloaded: Model A of DKN on smaller, coarser digits.",
                *(_digits, 40),
            ),
        )
    ),
    *(
        Plan(
            domain="cifar10",
            name=name,
            title=title,
            architecture=architecture,
            size=32,
            channels=3,
            scale=_CIFAR,
            cam_layer=layer,
            data="CIFAR-10",
            note=note,
            load=_domain("cifar10"),
            view=_shift(3, flip=True),
            epochs=epochs,
            batch=256,
            peak=peak,
            decay=5e-4,
            smoothing=0.15,
        )
        for name, title, architecture, layer, note, peak, epochs in (
            (
                "resnet",
                "ResNet",
                "whitened",
                "stages.2",
                "A small residual network behind a fixed whitening.",
                0.25,
                12,
            ),
            ("vgg", "VGG", "vgg", "features.26", "A narrow VGG with batch norm.", 0.1, 18),
        )
    ),
    Plan(
        domain="cifar10",
        name="alexnet",
        title="AlexNet",
        architecture="alexnet",
        size=32,
        channels=3,
        scale=_CIFAR,
        cam_layer="features.11",
        data="CIFAR-10",
        note="AlexNet at the size of CIFAR-10, as the attention masks' paper attacks it.",
        load=_domain("cifar10"),
        view=_shift(3, flip=True),
        epochs=14,
        batch=256,
        peak=1.5e-3,
        decay=0.02,
        optimiser="adamw",
        smoothing=0.05,
    ),
    Plan(
        domain="imagenette",
        name="resnet",
        title="SE-ResNet",
        architecture="imagenette",
        size=160,
        channels=3,
        scale=_PHOTO,
        cam_layer="stages.3",
        data="7,500 training pictures of Imagenette 2 (750 a class)",
        note="A small residual network with squeeze-and-excitation.",
        load=_domain("imagenette"),
        view=_imagenette_view,
        epochs=80,
        batch=128,
        peak=0.2,
        decay=5e-4,
        smoothing=0.05,
    ),
)

PLANS: dict[str, Plan] = {f"{plan.domain}_{plan.name}": plan for plan in _PLANS}


def cached(plan: Plan, train: bool, folder: Path) -> Data:
    """The pictures of a plan, decoded once and kept beside the checkpoints."""
    path = folder / f"{plan.domain}_{plan.size}_{'train' if train else 'test'}.pt"
    if plan.domain != "imagenette":
        return plan.load(train)
    try:
        pictures, labels = torch.load(path, weights_only=True)
        if len(pictures) == len(labels):
            return pictures, labels
    except Exception:  # none yet, cut off or damaged: it holds nothing that cannot be made anew
        path.unlink(missing_ok=True)
    pictures, labels = plan.load(train)
    part = path.with_suffix(".part")
    torch.save((pictures, labels), part)
    part.replace(path)
    return pictures, labels
