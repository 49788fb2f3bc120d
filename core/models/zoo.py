"""The classifiers that ship: weights as safetensors, each with a card."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import nn

from core.inputs import BadInput
from core.models.architectures import ARCHITECTURES
from core.models.classifier import Classifier
from core.models.folding import fold

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "weights"
_ORDER = (
    "photonet",
    "resnet",
    "a",
    "vgg",
    "alexnet",
    "b",
    "digits",
)  # of a domain's classifiers; the first one is its default


class Measured(BaseModel):
    """One figure of a card, with the number of pictures it was measured on."""

    model_config = ConfigDict(frozen=True)

    what: str
    value: float
    correct: int
    count: int


class Card(BaseModel):
    """What a classifier is, on what data and by which command it was made, and how good it is."""

    model_config = ConfigDict(frozen=True)

    title: str
    architecture: str
    parameters: int
    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cam_layer: str
    data: str
    command: str
    accuracy: tuple[Measured, ...]
    note: str


def shipped(domain: str, folder: Path = WEIGHTS) -> tuple[str, ...]:
    """The classifiers of a domain that ship, the default first."""
    found = [path.stem.removeprefix(f"{domain}_") for path in folder.glob(f"{domain}_*.json")]
    return tuple(sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)))


@lru_cache(maxsize=32)
def card(domain: str, name: str, folder: Path = WEIGHTS) -> Card:
    """The card of a classifier that ships."""
    path = folder / f"{domain}_{name}.json"
    if not path.exists():
        raise BadInput(f"No classifier {name!r} of {domain!r} ships; its card {path.name} is missing.")
    return Card.model_validate_json(path.read_bytes())


def load(domain: str, name: str, classes: tuple[str, ...], device: str = "cpu", folder: Path = WEIGHTS) -> Classifier:
    """A classifier that ships, on `device`.

    Raises:
        BadInput: there is none of that name, or its file does not fit its card.
    """
    about = card(domain, name, folder)
    network = ARCHITECTURES[about.architecture](len(classes))
    try:
        state = load_file(folder / f"{domain}_{name}.safetensors")
        network.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BadInput(
            f"The weights {domain}_{name}.safetensors are missing or damaged; check the repository out again."
        ) from error
    classifier = Classifier(
        fold(network, torch.full((1, about.channels, about.size, about.size), 0.5)),
        name=name,
        title=about.title,
        domain=domain,
        classes=classes,
        size=about.size,
        channels=about.channels,
        mean=about.mean,
        std=about.std,
        cam_layer=about.cam_layer,
    )
    return classifier.to(device)


def save(network: nn.Module, about: Card, domain: str, name: str, folder: Path) -> None:
    """Write weights (as 16-bit floats: half the size, the same decisions) and card."""
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{domain}_{name}.safetensors").write_bytes(packed(state))  # save_file would hide it from other users
    write_card(about, domain, name, folder)


def write_card(about: Card, domain: str, name: str, folder: Path) -> None:
    """Write a card; whoever asks for it next gets the new one."""
    (folder / f"{domain}_{name}.json").write_text(about.model_dump_json(indent=2) + "\n", encoding="utf-8")
    card.cache_clear()
