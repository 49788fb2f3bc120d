"""The artifact store: everything with weights, each a safetensors file with a card beside it.

What ships lies in assets/weights; what the user adds lies in MIRAGE_DATA/artifacts. Listing and validating read cards alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import nn

from core import files
from core.disk import data_root, write_whole
from core.inputs import InvalidInput, quoted
from core.models.architectures import ARCHITECTURES, Kind, Shape
from core.models.cards import Card, parse_card, read_card
from core.models.classifier import Classifier
from core.models.folding import fuse_conv_bn
from core.models.tensors import check_tensors

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "weights"
MAX_CARDS = 500  # in the user's folder
MAX_WEIGHTS = 2_000_000_000  # bytes

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class Artifact:
    """A card and where its weights lie.

    Attributes:
        name: of its files, without their endings.
        shipped: whether it comes with Mirage; else it is the user's.
    """

    name: str
    folder: Path
    card: Card
    shipped: bool = False

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"


def list_artifacts(kind: Kind, domain: str | None = None) -> tuple[Artifact, ...]:
    """The artifacts of that kind (and domain) whose architecture is known, those that ship first, each part by name."""
    return tuple(
        artifact
        for artifact in _index()[0].values()
        if artifact.card.kind == kind and domain in (None, artifact.card.domain) and _known(artifact)
    )


def find_artifact(kind: Kind, name: str) -> Artifact:
    """The artifact of that kind and name.

    Raises:
        InvalidInput: there is none, its card is unusable, or nothing defines its architecture.
    """
    artifact = _index()[0].get((kind, name))
    if artifact is None:
        if _NAME.fullmatch(name) and (user_folder() / f"{name}.json").exists():
            artifact = read_artifact(user_folder(), name)  # says what is wrong with its card
        if artifact is None or artifact.card.kind != kind:
            raise InvalidInput(
                f"There is no {_words(kind)} called {quoted(name)}; none of that name ships, and there is no such card in "
                f"{files.display_path(user_folder())}."
            )
    if not _known(artifact):
        raise InvalidInput(_unknown_architecture(artifact))
    return artifact


def problems() -> tuple[str, ...]:
    """What is wrong with the cards in the user's folder, a sentence each."""
    artifacts, sentences = _index()
    return (*sentences, *(_unknown_architecture(a) for a in artifacts.values() if not _known(a)))


def checksum(kind: Kind, name: str) -> str:
    """The SHA-256 of an artifact's weights, which tells them from earlier ones of that name; empty where there is none."""
    artifact = _index()[0].get((kind, name))
    return "" if artifact is None else artifact.card.sha256


def user_folder() -> Path:
    """Where the user's artifacts lie."""
    return data_root() / "artifacts"


def read_artifact(folder: Path, name: str, *, shipped: bool = False) -> Artifact:
    """The artifact of that name in a folder; of its files, the card alone is read.

    Raises:
        InvalidInput: the card is missing, too large, not JSON, or a field is missing or wrong.
    """
    path = folder / f"{name}.json"
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{quoted(path.name)} is no name for a card; use up to 80 letters, digits, '-', '_' and '.'."
        )
    return Artifact(name, folder, read_card(path), shipped)


def load_weights(artifact: Artifact, network: nn.Module) -> None:
    """Fill the network, in place, with the artifact's weights, as float32.

    Raises:
        InvalidInput: the file is missing or damaged, is not the one that the card means, or has other tensors than the network.
    """
    path = artifact.weights
    remedy = (
        "check the repository out again"
        if artifact.shipped
        else f"copy it to {files.display_path(artifact.folder)} again"
    )
    files.check_regular(path, MAX_WEIGHTS)
    if _digest(path, files.stamp([path])) != artifact.card.sha256:
        raise InvalidInput(
            f"The weights {path.name} are damaged, or not those of their card: the SHA-256 differs; {remedy}."
        )
    try:
        state = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise InvalidInput(f"The weights {path.name} are damaged; {remedy}.") from error
    check_tensors(state, network.state_dict(), f"The weights {path.name} do not fit {artifact.card.architecture!r}")
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})


def load_classifier(artifact: Artifact, classes: tuple[str, ...], device: str = "cpu") -> Classifier:
    """The classifier of an artifact, on `device`; its name there is the artifact's without that of its domain.

    Raises:
        InvalidInput: its files are unusable, or do not fit each other or the classes.
    """
    card = artifact.card
    with torch.inference_mode(False):
        network = build_network(artifact, len(classes))
        load_weights(artifact, network)
        classifier = Classifier(
            fuse_conv_bn(network, torch.full((1, card.channels, card.size, card.size), 0.5)),
            name=artifact.name.removeprefix(f"{card.domain}_"),
            title=card.title,
            domain=card.domain,
            classes=classes,
            size=card.size,
            channels=card.channels,
            mean=card.mean,
            std=card.std,
            cam_layer=card.cam_layer,
        )
    return classifier.to(device)


def build_network(artifact: Artifact, classes: int = 0) -> nn.Module:
    """The artifact's network with fresh weights, from the registry of architectures.

    Raises:
        InvalidInput: nothing defines it, or its own code fails.
    """
    card = artifact.card
    return ARCHITECTURES.build(card.architecture, card.kind, Shape(card.channels, card.size, classes))


def save(network: nn.Module, name: str, folder: Path, **fields: Any) -> Artifact:
    """Write weights (as 16-bit floats: half the size, the same decisions) and card.

    Args:
        fields: those of the card; `sha256` is worked out, and so is `parameters` where it is not given.

    Raises:
        InvalidInput: a field of the card is missing or wrong.
    """
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in network.state_dict().items()}
    data = packed(state)
    fields.setdefault("parameters", sum(p.numel() for p in network.parameters()))
    values = {**fields, "sha256": hashlib.sha256(data).hexdigest()}
    artifact = Artifact(name, folder, parse_card(values, folder / f"{name}.json"))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(artifact.weights, data)
    return write_card(artifact)


def write_card(artifact: Artifact, **changes: Any) -> Artifact:
    """Write the card, with some fields changed; the artifact with that card."""
    path = artifact.folder / f"{artifact.name}.json"
    values = {**artifact.card.to_fields(), **changes}
    written = Artifact(artifact.name, artifact.folder, parse_card(values, path), artifact.shipped)
    write_whole(path, written.card.to_json().encode())
    return written


Index = dict[tuple[Kind, str], Artifact]


def _index() -> tuple[Index, tuple[str, ...]]:
    """All artifacts by kind and name, those that ship first; and what is wrong with the user's cards."""
    folder = user_folder()
    try:
        cards = sorted(islice(folder.glob("*.json"), MAX_CARDS + 1))
    except OSError:  # a folder that may not be read
        cards = []
    return _indexed(folder, files.stamp(cards))


@lru_cache(maxsize=4)
def _indexed(folder: Path, stamp: files.Stamp) -> tuple[Index, tuple[str, ...]]:
    shipped, lost = _shipped()
    index, sentences = dict(shipped), list(lost)
    if len(stamp) > MAX_CARDS:
        sentences.append(f"{files.display_path(folder)} holds more than {MAX_CARDS} cards; the others are left out.")
    for path in (Path(name) for name, *_ in stamp[:MAX_CARDS]):
        try:
            artifact = read_artifact(folder, path.stem)
        except InvalidInput as error:
            sentences.append(f"The artifact {files.display_path(path.name)} is left out: {error}")
            continue
        kind = artifact.card.kind
        if kind == "classifier" and not artifact.name.startswith(f"{artifact.card.domain}_"):
            sentences.append(
                f"The classifier {path.name} is left out: name its files {artifact.card.domain}_NAME, after its domain."
            )
        elif (kind, artifact.name) in index:
            sentences.append(
                f"The artifact {path.name} is left out: a {_words(kind)} that ships has that name; rename its files."
            )
        else:
            index[kind, artifact.name] = artifact
    return index, tuple(sentences)


@lru_cache(maxsize=1)
def _shipped() -> tuple[Index, tuple[str, ...]]:
    index, sentences = {}, []
    for path in sorted(WEIGHTS.rglob("*.json")):
        try:
            artifact = read_artifact(path.parent, path.stem, shipped=True)
            index[artifact.card.kind, artifact.name] = artifact
        except InvalidInput as error:
            sentences.append(f"An artifact that ships is left out: {error} Check the repository out again.")
    return index, tuple(sentences)


def _known(artifact: Artifact) -> bool:
    """Whether something defines the artifact's architecture; a mask generator's is built around its classifier."""
    return (
        artifact.card.kind == "mask_generator" or ARCHITECTURES.kind(artifact.card.architecture) == artifact.card.kind
    )


def _unknown_architecture(artifact: Artifact) -> str:
    card = artifact.card
    known = ", ".join(ARCHITECTURES.names(card.kind)) or "none"
    return (
        f"The artifact {artifact.name}.json is left out: no {_words(card.kind)} has the architecture "
        f"{quoted(card.architecture)}; known are {known}, and a plugin can define more."
    )


def _words(kind: Kind) -> str:
    return kind.replace("_", " ")


@lru_cache(maxsize=256)
def _digest(path: Path, _stamp: files.Stamp) -> str:
    """The file's SHA-256, worked out once a process until the file changes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{files.display_path(path)} cannot be read: {files.reason(error)}.") from None
