"""Cards: what an artifact is, how it was made and how good it is, checked as it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator

from core import files
from core.declaration import format_errors
from core.inputs import InvalidInput, quoted
from core.models.architectures import Kind

MAX_CARD = 100_000  # bytes

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
        return f"{100 * self.value:.1f} % ({self.correct} of {self.count})"


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

    def to_fields(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as JSON takes them."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def to_json(self) -> str:
        """The text of the card's file."""
        return json.dumps(self.to_fields(), indent=2, ensure_ascii=False) + "\n"

    def headline(self) -> str:
        """The first metric and, where it was measured, the accuracy under the worst case, in one line."""
        shown = [*self.metrics[:1], *(metric for metric in self.metrics[1:] if metric.what.startswith("worst case"))]
        return "; ".join(f"{metric.what} {metric.text}" for metric in shown)

    def figures(self) -> str:
        """The metrics for people, in one line."""
        return "; ".join(f"{metric.what} {metric.text}" for metric in self.metrics)


def read_card(path: Path) -> Card:
    """The card in that file.

    Raises:
        InvalidInput: it is missing, too large, not JSON, or a field is missing or wrong.
    """
    text = files.read_bytes(path, MAX_CARD)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"The card {path.name} is not JSON.") from None
    if not isinstance(values, dict):
        raise InvalidInput(f"The card {path.name} must be a JSON object with fields such as 'kind' and 'domain'.")
    return parse_card(values, path)


def parse_card(values: dict[str, Any], path: Path) -> Card:
    """The card with these fields; a sentence about one that is wrong names the file.

    Raises:
        InvalidInput: a field is missing or wrong.
    """
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(format_errors(error, f"The card {path.name}", values)) from None
