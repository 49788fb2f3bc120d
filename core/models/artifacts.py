"""The artifact store: everything with weights, each a safetensors file with a card beside it.

What ships lies in assets/weights; what the user adds lies in MIRAGE_DATA/artifacts. Listing and validating read cards alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor, nn

from core import files
from core.declaration import readable
from core.disk import data_root
from core.inputs import BadInput, quoted
from core.models.architectures import ARCHITECTURES, Kind, Shape
from core.models.classifier import Classifier
from core.models.folding import fold

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "weights"
MAX_CARD = 100_000  # bytes
MAX_CARDS = 500  # in the user's folder
MAX_WEIGHTS = 2_000_000_000  # bytes

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_LINE = r"^[^\x00-\x1f\x7f]*$"  # text without control characters

Word = Annotated[str, Field(max_length=80, pattern=_LINE)]
Line = Annotated[str, Field(max_length=400, pattern=_LINE)]


class Metric(BaseModel):
    """One figure of a card, with the number of images it was measured on; `correct` of them where it is a proportion.

    `eps` is the L∞ budget of the attack, on images in [0, 1]; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Line
    value: FiniteFloat
    correct: Annotated[int, Field(ge=0)] | None = None
    count: Annotated[int, Field(ge=1)]
    eps: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None

    @property
    def text(self) -> str:
        """The value for people, with what it was measured on."""
        if self.correct is None:
            return f"{self.value:.3g} (mean of {self.count})"
        return f"{self.value:.1%} ({self.correct} of {self.count})"


class Card(BaseModel):
    """What an artifact is, on what data and by which command it was made, and how good it is.

    Attributes:
        kind: what its network does. domain: by name; `channels` and `size` of the images it takes, size×size.
        architecture: of the network, by its name in `ARCHITECTURES`.
        trained_against: the classifier or the attack that it was trained against; empty where there is none.
        plan: the training plan by name. command: what trained it. hyperparameters: of the objective.
        mean, std: by which a classifier's input is normalized, one number a channel. cam_layer: for class activation maps.
        seconds: how long the training took, crafted images included, on `device`; 0 where nobody measured it.
        sha256: of the safetensors file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    title: Annotated[Word, Field(min_length=1)]
    domain: Annotated[Word, Field(min_length=1)]
    architecture: Word
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=8, le=1024)]
    mean: Annotated[tuple[FiniteFloat, ...], Field(max_length=3)] = ()
    std: Annotated[tuple[PositiveFloat, ...], Field(max_length=3)] = ()
    cam_layer: Word = ""
    parameters: Annotated[int, Field(ge=0)] = 0
    trained_against: Line = ""
    plan: Word = ""
    data: Line = ""
    command: Line = ""
    seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    device: Word = ""
    hyperparameters: Annotated[dict[Word, FiniteFloat | Word], Field(max_length=16)] = {}
    metrics: Annotated[tuple[Metric, ...], Field(max_length=16)] = ()
    description: Line = ""
    licence: Line = ""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "classifier":
            for word, values in (("mean", self.mean), ("std", self.std)):
                if len(values) not in (1, self.channels):
                    raise ValueError(f"A classifier's {word} must have one number a channel.")
        if self.kind == "mask_generator":
            if not (self.trained_against and isinstance(self.hyperparameters.get("beta"), float)):
                raise ValueError("A mask generator needs trained_against, its classifier, and the hyperparameter beta.")
            if self.architecture not in ("fc", "conv"):
                raise ValueError(f"A mask generator is 'fc' or 'conv', not {quoted(self.architecture)}.")
        return self

    def headline(self) -> str:
        """The first metric and, where it was measured, the accuracy under the worst case, in one line."""
        shown = [*self.metrics[:1], *(metric for metric in self.metrics[1:] if metric.what.startswith("worst case"))]
        return "; ".join(f"{metric.what} {metric.text}" for metric in shown)

    def figures(self) -> str:
        """The metrics for people, in one line."""
        return "; ".join(f"{metric.what} {metric.text}" for metric in self.metrics)


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
        BadInput: there is none, its card is unusable, or nothing defines its architecture.
    """
    artifact = _index()[0].get((kind, name))
    if artifact is None:
        if _NAME.fullmatch(name) and (user_folder() / f"{name}.json").exists():
            artifact = read_artifact(user_folder(), name)  # says what is wrong with its card
        if artifact is None or artifact.card.kind != kind:
            raise BadInput(
                f"There is no {_words(kind)} called {quoted(name)}; none of that name ships, and there is no such card in "
                f"{files.shown(user_folder())}."
            )
    if not _known(artifact):
        raise BadInput(_unknown_architecture(artifact))
    return artifact


def problems() -> tuple[str, ...]:
    """What is wrong with the cards in the user's folder, a sentence each."""
    artifacts, sentences = _index()
    return (*sentences, *(_unknown_architecture(a) for a in artifacts.values() if not _known(a)))


def user_folder() -> Path:
    """Where the user's artifacts lie."""
    return data_root() / "artifacts"


def read_artifact(folder: Path, name: str, *, shipped: bool = False) -> Artifact:
    """The artifact of that name in a folder; of its files, the card alone is read.

    Raises:
        BadInput: the card is missing, too large, not JSON, or a field is missing or wrong.
    """
    path = folder / f"{name}.json"
    if not _NAME.fullmatch(name):
        raise BadInput(f"{quoted(path.name)} is no name for a card; use up to 80 letters, digits, '-', '_' and '.'.")
    text = files.read_bytes(path, MAX_CARD)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(f"The card {path.name} is not JSON.") from None
    if not isinstance(values, dict):
        raise BadInput(f"The card {path.name} must be a JSON object with fields such as 'kind' and 'domain'.")
    return Artifact(name, folder, _card(values, path), shipped)


def load_weights(artifact: Artifact, network: nn.Module) -> None:
    """Fill the network, in place, with the artifact's weights, as float32.

    Raises:
        BadInput: the file is missing or damaged, is not the one that the card means, or has other tensors than the network.
    """
    path = artifact.weights
    remedy = (
        "check the repository out again" if artifact.shipped else f"copy it to {files.shown(artifact.folder)} again"
    )
    files.check_regular(path, MAX_WEIGHTS)
    if _digest(path, files.stamp([path])) != artifact.card.sha256:
        raise BadInput(
            f"The weights {path.name} are damaged, or not those of their card: the SHA-256 differs; {remedy}."
        )
    try:
        state = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"The weights {path.name} are damaged; {remedy}.") from error
    _check_tensors(state, network.state_dict(), f"The weights {path.name} do not fit {artifact.card.architecture!r}")
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})


def load_classifier(artifact: Artifact, classes: tuple[str, ...], device: str = "cpu") -> Classifier:
    """The classifier of an artifact, on `device`; its name there is the artifact's without that of its domain.

    Raises:
        BadInput: its files are unusable, or do not fit each other or the classes.
    """
    card = artifact.card
    with torch.inference_mode(False):
        network = build_network(artifact, len(classes))
        load_weights(artifact, network)
        classifier = Classifier(
            fold(network, torch.full((1, card.channels, card.size, card.size), 0.5)),
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
        BadInput: nothing defines it, or its own code fails.
    """
    card = artifact.card
    return ARCHITECTURES.build(card.architecture, card.kind, Shape(card.channels, card.size, classes))


def save(network: nn.Module, name: str, folder: Path, **fields: Any) -> Artifact:
    """Write weights (as 16-bit floats: half the size, the same decisions) and card.

    Args:
        fields: those of the card; `sha256` is worked out, and so is `parameters` where it is not given.

    Raises:
        BadInput: a field of the card is missing or wrong.
    """
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in network.state_dict().items()}
    data = packed(state)
    fields.setdefault("parameters", sum(p.numel() for p in network.parameters()))
    values = {**fields, "sha256": hashlib.sha256(data).hexdigest()}
    artifact = Artifact(name, folder, _card(values, folder / f"{name}.json"))
    folder.mkdir(parents=True, exist_ok=True)
    _replace(artifact.weights, data)
    return write_card(artifact)


def write_card(artifact: Artifact, **changes: Any) -> Artifact:
    """Write the card, with some fields changed; the artifact with that card."""
    path = artifact.folder / f"{artifact.name}.json"
    values = {**artifact.card.model_dump(mode="json", exclude_defaults=True), **changes}
    written = Artifact(artifact.name, artifact.folder, _card(values, path), artifact.shipped)
    text = json.dumps(written.card.model_dump(mode="json", exclude_defaults=True), indent=2, ensure_ascii=False)
    _replace(path, (text + "\n").encode())
    return written


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def _card(values: dict[str, Any], path: Path) -> Card:
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        raise BadInput(readable(error, f"The card {path.name}", values)) from None


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
        sentences.append(f"{files.shown(folder)} holds more than {MAX_CARDS} cards; the others are left out.")
    for path in (Path(name) for name, *_ in stamp[:MAX_CARDS]):
        try:
            artifact = read_artifact(folder, path.stem)
        except BadInput as error:
            sentences.append(f"The artifact {files.shown(path.name)} is left out: {error}")
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
        except BadInput as error:
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
        raise BadInput(f"{files.shown(path)} cannot be read: {files.reason(error)}.") from None


def _check_tensors(state: dict[str, Tensor], wanted: dict[str, Tensor], sentence: str) -> None:
    """Refuse tensors of other names or shapes than the network's, and values that are no numbers.

    Raises:
        BadInput: the first thing that is wrong.
    """
    for words, names in (("lack", wanted.keys() - state.keys()), ("have the unknown", state.keys() - wanted.keys())):
        if names:
            raise BadInput(f"{sentence}: they {words} {', '.join(map(quoted, sorted(names)[:3]))}.")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise BadInput(f"{sentence}: {name} is {_shape(tensor)} there and must be {_shape(wanted[name])}.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise BadInput(f"{sentence}: {name} holds NaN or infinite values.")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
