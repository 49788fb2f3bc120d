"""The data sets that a training plan may name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import domains, images
from core.domains.mnist import fallback_digits
from core.domains.photos import PHOTOGRAPHS, photograph
from core.inputs import InvalidInput

Data = tuple[Tensor, Tensor]  # images uint8 N×C×H×W, labels int64 N


@dataclass(frozen=True)
class Dataset:
    """Labeled images of one domain.

    Attributes:
        description, licence: as on a card.
        load: the training part (True) or the test part.
        slow: whether reading takes so long that the decoded images are kept beside the checkpoints.
        shipped: the number of training images of one that comes with Mirage; 0 for one that has to be downloaded.
    """

    domain: str
    description: str
    licence: str
    load: Callable[[bool], Data]
    slow: bool = False
    shipped: int = 0

    def missing_reason(self) -> str | None:
        """Why it is not to be had, as a sentence; None where it is here."""
        return None if self.shipped else domains.get(self.domain).missing_reason()

    def count(self) -> int:
        """The number of training images.

        Raises:
            InvalidInput: it is not on this machine, or damaged.
        """
        return self.shipped or domains.get(self.domain).count("train")


def _photographs(train: bool) -> Data:
    """The photographs fitted to 160 px for judging; to 320 px for training, so that a crop is sharp."""
    size = 320 if train else 160
    fitted = [images.fit(photograph(name), size, 3, "crop") for name in PHOTOGRAPHS]
    return torch.from_numpy(np.stack(fitted)).permute(0, 3, 1, 2), torch.arange(len(fitted))


def _of_domain(name: str, train: bool) -> Data:
    domain = domains.get(name)
    if missing := domain.missing_reason():
        raise InvalidInput(missing)  # also where stand-ins would do for looking: the card names the data set
    split = "train" if train else "test"
    labels = domain.labels(split)
    pixels = [images.fit(domain.pixels(split, i), domain.size, domain.channels, "crop") for i in range(len(labels))]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def _digits(train: bool) -> Data:
    pixels, labels = fallback_digits(train)
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


DATASETS = {
    "photos": Dataset(
        "photos",
        "17 photographs that ship with scikit-image, scikit-learn and matplotlib; random crops of them",
        "the photographs are those of their libraries",
        _photographs,
        shipped=17,
    ),
    "mnist": Dataset("mnist", "MNIST", "MNIST is CC BY-SA 3.0", partial(_of_domain, "mnist")),
    "digits": Dataset(
        "mnist",
        "scikit-learn's 8×8 digits enlarged to 28×28, every fifth kept from training",
        "scikit-learn's digits (UCI) are CC BY 4.0",
        _digits,
        shipped=1437,
    ),
    "cifar10": Dataset("cifar10", "CIFAR-10", "CIFAR-10 states no license", partial(_of_domain, "cifar10")),
    "cifar10_gray": Dataset(
        "cifar10_gray",
        "CIFAR-10 in gray, 28×28",
        "CIFAR-10 states no license",
        partial(_of_domain, "cifar10_gray"),
    ),
    "imagenette": Dataset(
        "imagenette",
        "7,500 training images of Imagenette 2 (750 a class)",
        "Imagenette is Apache 2.0, its images under ImageNet's terms",
        partial(_of_domain, "imagenette"),
        slow=True,
    ),
}


def load_data(name: str, train: bool, folder: Path) -> Data:
    """A data set's training or test part; a slow one is decoded once and kept in `folder`.

    Raises:
        InvalidInput: it is not on this machine.
    """
    dataset = DATASETS[name]
    if not dataset.slow:
        return dataset.load(train)
    path = folder / f"{name}_{'train' if train else 'test'}.pt"
    try:
        pixels, labels = torch.load(path, weights_only=True)
        if len(pixels) == len(labels):
            return pixels, labels
    except Exception:  # none yet, cut off or damaged: it holds nothing that cannot be made anew
        path.unlink(missing_ok=True)
    pixels, labels = dataset.load(train)
    part = path.with_suffix(".part")
    torch.save((pixels, labels), part)
    part.replace(path)
    return pixels, labels
