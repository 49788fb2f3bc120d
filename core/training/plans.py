"""Training plans: data that JSON can carry, names and numbers alone."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator

from core import attacks, domains
from core.declaration import format_errors, json_fields
from core.inputs import InvalidInput, quoted
from core.models.architectures import ARCHITECTURES, Kind
from core.models.artifacts import find_artifact
from core.training.augment import AUGMENTATIONS
from core.training.data import DATASETS
from core.training.objectives import OBJECTIVES
from core.training.objectives.base import check_params

_TRAINED = {"classifier": ("classifier",), "mask_generator": ("generator", "reader"), "denoiser": ("denoiser",)}
_NEEDS_CRAFTED = ("defense_kernels", "guided_denoiser", "feature_losses")
_NEEDS_LOSS_NETWORK = ("defense_kernels", "feature_losses")

Text = Annotated[str, Field(max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Function(_Data):
    """An objective or an augmentation by name, with its parameters."""

    name: Annotated[str, Field(max_length=40)]
    params: Annotated[dict[str, bool | int | float | str], Field(max_length=16)] = {}


class Stage(_Data):
    """One network trained by one objective in one cycle of the learning rate.

    Attributes:
        trains: which of the plan's networks; the others stay as they are.
        warmup: the share of the steps in which the learning rate rises to `max_lr`.
        repeats_per_epoch: passes over the training part that count as an epoch.
        mixed_precision: bfloat16 where the hardware has it; the weights stay in float32.
        averaged: the decay of a moving average of the weights, a step; what the stage makes are the averaged weights. 0 for none.
    """

    trains: Annotated[str, Field(max_length=40)]
    objective: Function
    augment: Function = Function(name="none")
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch: Annotated[int, Field(ge=1, le=100_000)]
    max_lr: Annotated[float, Field(gt=0, le=1e30)]
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.25
    repeats_per_epoch: Annotated[int, Field(ge=1, le=10_000)] = 1
    mixed_precision: bool = True
    averaged: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        check_params("objective", OBJECTIVES, self.objective.name, self.objective.params)
        check_params("augmentation", AUGMENTATIONS, self.augment.name, self.augment.params)
        return self


class TrainingPlan(_Data):
    """Everything that the trainer needs to know about one artifact.

    Attributes:
        name: of the plan; that of a classifier begins with its domain's.
        dataset: by its name in `DATASETS`. architecture: of the network that the artifact is about.
        trained_against: the classifier of the domain that an objective looks at; empty where there is none.
        mean, std, cam_layer: of a classifier, as on its card.
        crafted: attacks on `trained_against`; each one makes an adversarial version of every image, once before the training.
        starts_from: a classifier of the domain, of the same architecture, whose weights this one begins with; empty for random ones.
        held_out: how many training images are kept from the training of a classifier, to judge it after every epoch.
        judged_by: the attack on these images. The epoch with the highest accuracy under it is kept; a fall of that accuracy by half is
            reported as catastrophic overfitting.
        loss_network: DOMAIN/CLASSIFIER whose features a loss compares; `loss_layers` names its layers.

    Raises:
        InvalidInput: it names something that is not there, or a value out of range.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    kind: Literal["classifier", "mask_generator", "denoiser"] = "classifier"
    title: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]  # as on a card
    domain: Annotated[str, Field(max_length=40)]
    dataset: Annotated[str, Field(max_length=40)]
    architecture: Annotated[str, Field(max_length=80)]
    trained_against: Annotated[str, Field(max_length=80)] = ""
    mean: Annotated[tuple[FiniteFloat, ...], Field(max_length=3)] = ()
    std: Annotated[tuple[PositiveFloat, ...], Field(max_length=3)] = ()
    cam_layer: Annotated[str, Field(max_length=80)] = ""
    crafted: Annotated[tuple[Function, ...], Field(max_length=8)] = ()
    starts_from: Annotated[str, Field(max_length=80)] = ""
    held_out: Annotated[int, Field(ge=0, le=10_000)] = 0
    judged_by: Function | None = None
    loss_network: Annotated[str, Field(max_length=160)] = ""
    loss_layers: Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(max_length=8)] = ()
    description: Text = ""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=8)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInput(format_errors(error, "This training plan", values)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        domain = domains.get(self.domain)
        if self.dataset not in DATASETS or DATASETS[self.dataset].domain != self.domain:
            known = ", ".join(name for name, dataset in DATASETS.items() if dataset.domain == self.domain) or "none"
            raise InvalidInput(f"{domain.title} has no training data called {quoted(self.dataset)}; it has {known}.")
        if not self.artifact:
            raise InvalidInput(f"A plan needs a name of its own, not {quoted(self.name)}.")
        trained = _TRAINED[self.kind]
        for stage in self.stages:
            if stage.trains not in trained:
                raise InvalidInput(f"A stage trains {quoted(stage.trains)}; it must be one of {', '.join(trained)}.")
            if self.crafted and stage.augment.name != "none":
                raise InvalidInput(
                    "A plan with crafted images has no augmentation, because these are versions of the images as they are."
                )
        for attack in (*self.crafted, *([self.judged_by] if self.judged_by else [])):
            attacks.build(attack.name, attack.params)
        if bool(self.held_out) != (self.judged_by is not None):
            raise InvalidInput(
                "'held_out' and 'judged_by' belong together: images to judge by, and the attack on them."
            )
        if self.kind != "classifier" and (self.starts_from or self.held_out):
            raise InvalidInput("Only a classifier starts from another one, and is judged after every epoch.")
        if self.kind == "classifier" and self.crafted:
            raise InvalidInput("Only a denoiser and a mask generator train on crafted images.")
        if self.kind == "classifier":
            self._check_classifier(domain)
        elif self.trained_against not in domain.classifier_names():
            names = ", ".join(domain.classifier_names())
            raise InvalidInput(
                f"{domain.title} has no classifier called {quoted(self.trained_against)}; it has {names}."
            )
        elif self.kind == "mask_generator" and self.architecture not in ("fc", "conv"):
            raise InvalidInput(f"A mask generator is 'fc' or 'conv', not {quoted(self.architecture)}.")
        elif self.kind == "denoiser":
            self._check_architecture("denoiser")
            self._check_objectives()
        if self.kind == "mask_generator" and not any(
            stage.trains == "generator" and "beta" in stage.objective.params for stage in self.stages
        ):
            raise InvalidInput(
                "A plan of a mask generator needs a stage that trains the generator, with a value of beta."
            )
        return self

    def _check_objectives(self) -> None:
        """Refuse a plan of a denoiser without what its objectives look at."""
        for stage in self.stages:
            if not self.crafted and stage.objective.name in _NEEDS_CRAFTED:
                raise InvalidInput(
                    f"The objective {stage.objective.name!r} needs adversarial images; name attacks in 'crafted'."
                )
            if not self.loss_network and stage.objective.name in _NEEDS_LOSS_NETWORK:
                raise InvalidInput(
                    f"The objective {stage.objective.name!r} needs a loss network; name one as DOMAIN/CLASSIFIER."
                )
        if self.loss_network:
            domain, _, name = self.loss_network.partition("/")
            if name not in domains.get(domain).classifier_names():
                raise InvalidInput(
                    f"There is no classifier {quoted(self.loss_network)}; name a loss network as DOMAIN/CLASSIFIER."
                )

    def _check_architecture(self, kind: Kind) -> None:
        if ARCHITECTURES.kind(self.architecture) != kind:
            known = ", ".join(ARCHITECTURES.names(kind)) or "none"
            raise InvalidInput(f"No {kind} has the architecture {quoted(self.architecture)}; there are {known}.")

    def _check_classifier(self, domain: domains.Domain) -> None:
        self._check_architecture("classifier")
        if not self.name.startswith(f"{self.domain}_"):
            raise InvalidInput(f"A classifier of {domain.title} is named {self.domain}_NAME, not {quoted(self.name)}.")
        for word, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, domain.channels):
                raise InvalidInput(
                    f"A classifier's {word} must have one number a channel; {domain.title} has {domain.channels}."
                )
        if self.starts_from:
            card = find_artifact("classifier", f"{self.domain}_{self.starts_from}").card
            if (card.architecture, card.mean, card.std) != (self.architecture, self.mean, self.std):
                raise InvalidInput(
                    f"{card.title} has another architecture or another normalization than this plan, so its weights cannot be used."
                )

    @property
    def artifact(self) -> str:
        """The name of what it makes."""
        return self.name.removeprefix("masks_")

    def replace(self, *, seed: int | None = None, epochs: int | None = None) -> TrainingPlan:
        """The same plan with another seed, or another number of epochs of its first stage."""
        values = self.model_dump()
        if seed is not None:
            values["seed"] = seed
        if epochs is not None:
            values["stages"][0]["epochs"] = epochs
        return TrainingPlan(**values)

    def to_json(self) -> str:
        """All of it, every default written out."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> TrainingPlan:
        """What that JSON says.

        Raises:
            InvalidInput: it is not JSON, or says something else.
        """
        return cls(**json_fields(text, "a training plan", ("name", "stages")))
