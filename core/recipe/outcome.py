"""What a recipe leads to, as plain data: images of 8 bits and numbers."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from core import images
from core.diagnostics import GradientStats
from core.recipe.recipe import Recipe


def _pixels_in(value: Any) -> Any:
    if isinstance(value, str):
        return images.from_png(base64.b64decode(value))
    return value


Pixels = Annotated[
    npt.NDArray[np.uint8],  # H×W×C, 8 bits: what a saved file holds and what every prediction here was made on
    BeforeValidator(_pixels_in),
    PlainSerializer(lambda pixels: base64.b64encode(images.png(pixels)).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


def _floats_in(value: Any) -> Any:
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["float32"]), np.float32).reshape(value["shape"])
    return value


def _floats_out(values: npt.NDArray[np.float32]) -> dict[str, object]:
    return {"shape": list(values.shape), "float32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


Floats = Annotated[
    npt.NDArray[np.float32],
    BeforeValidator(_floats_in),
    PlainSerializer(_floats_out, when_used="json"),
    WithJsonSchema({"type": "object"}),
]


class _Plain(BaseModel):
    # JSON has no number for infinity and NaN, which an attacker's objective may hold: they are written as strings.
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, ser_json_inf_nan="strings")

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same values, arrays included; NaN equals NaN."""
        return type(self) is type(other) and self.model_dump_json() == other.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Prediction(_Plain):
    """What the classifier says of one image."""

    label: int  # the class it names
    confidence: float  # of that class, 0 to 1
    top: tuple[tuple[int, float], ...]  # the five likeliest classes with their confidences
    true_confidence: float  # of the true class


class Norms(_Plain):
    """How far two 8-bit images are apart, in units of [0, 1]."""

    l0: int  # pixels that differ in any channel
    l2: float
    linf: float
    ssim: float


class Trace(_Plain):
    """An attack step by step; entry k belongs to step `numbers[k]`, entry 0 to the starting point."""

    numbers: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()  # the attacker's objective, larger is better for the attacker
    confidence: tuple[float, ...] = ()  # of the true class
    runner_up_confidence: tuple[float, ...] = ()  # of the likeliest other class, or of the target where there is one
    predicted: tuple[int, ...] = ()
    snapshot_steps: tuple[int, ...] = ()  # the steps of which an image was stored
    snapshots: tuple[Pixels, ...] = ()


class AttackOutcome(_Plain):
    """One attack on one image."""

    method: str  # the attack with the parameters that differ from its defaults
    adversarial: Pixels
    prediction: Prediction  # of the adversarial image after 8-bit rounding, by the classifier that was attacked (guarded if adaptive)
    success: bool
    steps_to_success: int  # steps until fooled; all that were run where it never was
    iterations: int
    seconds: float
    stopped: bool
    target: int | None
    norms: Norms  # adversarial against clean
    lost_to_quantization: bool  # fooled before 8-bit rounding but not after
    known: str = (
        ""  # the defense that the attacker knew and that the prediction is behind; empty for the bare classifier
    )
    backward: str = "none"  # the gradient of that defense which the attacker used
    clean_prediction: Prediction | None = None  # of the clean image behind that defense
    gradients: int = 0  # how often the attacker looked at the image for a gradient
    queries: int = 0  # and for logits alone
    gradient: GradientStats | None = (
        None  # what the attacker's gradient was like before the first step; None for an attack without
    )
    trace: Trace
    flow: Floats | None = None  # 2×H×W, pixels: each pixel took the value at its own place plus this (rows, columns)
    patch: Pixels | None = None  # what there is to print, on white
    mask: Pixels | None = None  # H×W×1, 255 where a local attack may change the image
    universal_success: tuple[int, int] | None = (
        None  # of a universal attack: how many other images it fooled, of how many
    )


class MemberVote(_Plain):
    """What one member of a vote says of one image."""

    member: str  # the classifier and its defense, in few words
    prediction: Prediction  # of this member alone
    share: float  # of the score of the class that the vote names, 0 to 1; the shares of all members sum to 1


class DefendedPrediction(_Plain):
    """One attacked image behind one defense."""

    defended: Pixels
    prediction: Prediction
    recovered: bool  # the defended image gets the true label; where that is unknown, the prediction of the clean image
    attack: AttackOutcome | None = None  # the attack made for this very column, where the attacker knows the defense
    backward: str = "none"  # the gradient that attacker used
    votes: tuple[MemberVote, ...] = ()  # of a system of several members


class DefenseOutcome(_Plain):
    """One defense: what it does to the clean image, to the attack that does not know it, and to the one that does."""

    defense: str
    short_title: str
    clean: DefendedPrediction  # the defense on the clean image: the price
    grey: DefendedPrediction | None  # the attack on the bare classifier
    adaptive: DefendedPrediction | None
    seconds: float  # one pass of the defense over one image


class Outcome(_Plain):
    """Everything that a screen shows of one recipe."""

    recipe: Recipe
    domain: str
    classifier: str
    classes: tuple[str, ...]
    device: str
    versions: str
    label: int  # the true class; where nobody knows it, what the classifier says of the clean image
    label_known: bool
    clean: Pixels
    clean_prediction: Prediction
    attacked: AttackOutcome
    columns: tuple[DefenseOutcome, ...] = ()

    @property
    def known_label(self) -> int | None:
        """The true class; None where it is unknown."""
        return self.label if self.label_known else None

    def class_name(self, number: int) -> str:
        return self.classes[number]

    def to_json(self) -> str:
        """The whole outcome; images as base64 PNG."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Outcome:
        return cls.model_validate_json(text)
