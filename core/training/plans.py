"""Training plans: data that JSON can carry, names and numbers alone."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator

from core import attacks, domains, files
from core.declaration import json_fields, readable
from core.inputs import BadInput, quoted
from core.models.architectures import ARCHITECTURES, Kind
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
    """

    trains: Annotated[str, Field(max_length=40)]
    objective: Function
    augment: Function = Function(name="none")
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch: Annotated[int, Field(ge=1, le=100_000)]
    max_lr: PositiveFloat
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.25
    repeats_per_epoch: Annotated[int, Field(ge=1, le=10_000)] = 1
    mixed_precision: bool = True

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
        loss_network: DOMAIN/CLASSIFIER whose features a loss compares; `loss_layers` names its layers.

    Raises:
        BadInput: it names something that is not there, or a value out of range.
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
    loss_network: Annotated[str, Field(max_length=160)] = ""
    loss_layers: Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(max_length=8)] = ()
    description: Text = ""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=8)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadInput(readable(error, "This training plan", values)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        domain = domains.get(self.domain)
        if self.dataset not in DATASETS or DATASETS[self.dataset].domain != self.domain:
            known = ", ".join(name for name, dataset in DATASETS.items() if dataset.domain == self.domain) or "none"
            raise BadInput(f"{domain.title} has no training data called {quoted(self.dataset)}; it has {known}.")
        trained = _TRAINED[self.kind]
        for stage in self.stages:
            if stage.trains not in trained:
                raise BadInput(f"A stage trains {quoted(stage.trains)}; it must be one of {', '.join(trained)}.")
            if self.crafted and stage.augment.name != "none":
                raise BadInput(
                    "A plan with crafted images has no augmentation, because these are versions of the images as they are."
                )
        for attack in self.crafted:
            attacks.build(attack.name, attack.params)
        if self.kind == "classifier":
            self._check_classifier(domain)
        elif self.trained_against not in domain.classifier_names():
            names = ", ".join(domain.classifier_names())
            raise BadInput(f"{domain.title} has no classifier called {quoted(self.trained_against)}; it has {names}.")
        elif self.kind == "mask_generator" and self.architecture not in ("fc", "conv"):
            raise BadInput(f"A mask generator is 'fc' or 'conv', not {quoted(self.architecture)}.")
        elif self.kind == "denoiser":
            self._check_architecture("denoiser")
            self._check_objectives()
        return self

    def _check_objectives(self) -> None:
        """Refuse a plan of a denoiser without what its objectives look at."""
        for stage in self.stages:
            if not self.crafted and stage.objective.name in _NEEDS_CRAFTED:
                raise BadInput(
                    f"The objective {stage.objective.name!r} needs adversarial images; name attacks in 'crafted'."
                )
            if not self.loss_network and stage.objective.name in _NEEDS_LOSS_NETWORK:
                raise BadInput(
                    f"The objective {stage.objective.name!r} needs a loss network; name one as DOMAIN/CLASSIFIER."
                )
        if self.loss_network:
            domain, _, name = self.loss_network.partition("/")
            if name not in domains.get(domain).classifier_names():
                raise BadInput(
                    f"There is no classifier {quoted(self.loss_network)}; name a loss network as DOMAIN/CLASSIFIER."
                )

    def _check_architecture(self, kind: Kind) -> None:
        if ARCHITECTURES.kind(self.architecture) != kind:
            known = ", ".join(ARCHITECTURES.names(kind)) or "none"
            raise BadInput(f"No {kind} has the architecture {quoted(self.architecture)}; there are {known}.")

    def _check_classifier(self, domain: domains.Domain) -> None:
        self._check_architecture("classifier")
        if not self.name.startswith(f"{self.domain}_"):
            raise BadInput(f"A classifier of {domain.title} is named {self.domain}_NAME, not {quoted(self.name)}.")
        for word, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, domain.channels):
                raise BadInput(
                    f"A classifier's {word} must have one number a channel; {domain.title} has {domain.channels}."
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
            BadInput: it is not JSON, or says something else.
        """
        return cls(**json_fields(text, "a training plan", ("name", "stages")))


def find_plan(name: str) -> TrainingPlan:
    """The plan of that name, or of that JSON file.

    Raises:
        BadInput: there is none, or the file says something else.
    """
    if name in PLANS:
        return TrainingPlan(**PLANS[name])
    if name.endswith(".json"):
        return TrainingPlan.from_json(files.read_bytes(name, files.MAX_TEXT))
    raise BadInput(f"There is nothing called {quoted(name)} to train; name a PLAN.json, or one of {', '.join(PLANS)}.")


_PHOTO: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CIFAR10: dict[str, Any] = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.247, 0.2435, 0.2616)}
_MNIST: dict[str, Any] = {"mean": (0.1307,), "std": (0.3081,)}
_SHIFT_DIGITS = {"name": "shift", "params": {"by": 2, "flip": False}}
_SHIFT_CIFAR10 = {"name": "shift", "params": {"by": 3, "flip": True}}


def _classifier(
    name: str, title: str, architecture: str, cam_layer: str, description: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """A classifier's plan of one stage; `settings` are those of the stage, the normalization, and label_smoothing."""
    domain = settings.get("domain", name.partition("_")[0])
    stage = {key: value for key, value in settings.items() if key in Stage.model_fields}
    params = {"label_smoothing": settings.get("label_smoothing", 0.0)}
    return {
        **{"name": name, "title": title, "domain": domain, "dataset": settings.get("dataset", domain)},
        **{"architecture": architecture, "mean": settings["mean"], "std": settings["std"]},
        **{"cam_layer": cam_layer, "description": description},
        "stages": ({"trains": "classifier", "objective": {"name": "cross_entropy", "params": params}, **stage},),
    }


def _masks(
    domain: str, classifier: str, title: str, kind: str, beta: float, epochs: int, readers: int
) -> dict[str, Any]:
    generator = {
        "trains": "generator",
        "objective": {"name": "attention_masks", "params": {"beta": beta}},
        **{"epochs": epochs, "batch": 256, "optimizer": "adam", "warmup": 0.2},
        "max_lr": 1e-3 if kind == "fc" else 3e-3,  # weights that are shared by all places are learnt from fewer images
    }
    reader = {
        "trains": "reader",
        "objective": {"name": "mask_reader"},
        "augment": _SHIFT_CIFAR10 if domain == "cifar10" else _SHIFT_DIGITS,
        **{"epochs": readers, "batch": 256, "max_lr": 3e-3, "weight_decay": 1e-3, "warmup": 0.3},
    }
    form = "fully connected" if kind == "fc" else "convolutional"
    return {
        "name": f"masks_{domain}_{classifier}_{kind}_{beta:g}",
        "kind": "mask_generator",
        "title": f"Attention masks of {title}, {form}, β {beta:g}",
        **{"domain": domain, "dataset": domain, "architecture": kind, "trained_against": classifier},
        "stages": (generator, reader),
    }


def _denoiser(
    defense: str, domain: str, classifier: str, title: str, architecture: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """A denoiser's plan of one stage; `settings` are those of the plan and of the stage."""
    stage = {key: value for key, value in settings.items() if key in Stage.model_fields}
    plan = {key: value for key, value in settings.items() if key in ("crafted", "loss_network", "loss_layers")}
    return {
        **{"name": f"{defense}_{domain}_{classifier}", "kind": "denoiser", "title": title, "domain": domain},
        **{"dataset": domain, "architecture": architecture, "trained_against": classifier, **plan},
        "stages": ({"trains": "denoiser", "batch": 128, "warmup": 0.2, **stage},),
    }


def _attack(name: str, eps: float, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": {"eps": eps, **params}}


def _pgd(eps: float, steps: int) -> dict[str, Any]:
    """PGD with the usual step size, 2.5 times the budget over the number of steps."""
    return _attack("pgd", eps, iterations=steps, step_size=2.5 * eps / steps, keep="last")


_ADAMW: dict[str, Any] = {"max_lr": 2e-3, "weight_decay": 0.01}
_GUIDED: dict[str, Any] = {**_ADAMW, "objective": {"name": "guided_denoiser", "params": {"clean": 0.25}}}


def _kernels(domain: str, eps: float) -> dict[str, Any]:
    """Hao's training; of a VGG's 8 convolutions, the loss compares the 6th and the 8th."""
    return {
        **{**_ADAMW, "crafted": (_attack("fgsm", eps),)},
        "objective": {"name": "defense_kernels", "params": {"eps": eps}},
        **{"loss_network": f"{domain}/vgg", "loss_layers": ("features.19", "features.26")},
    }


def _features(domain: str) -> dict[str, Any]:
    """Sivamani's training; the loss compares a VGG's max-pools 4, 3 and 2."""
    return {
        **{"crafted": (_attack("fgsm", 0.2), _pgd(0.2, 20)), "objective": {"name": "feature_losses"}},
        **{"max_lr": 4e-3, "optimizer": "adam", "weight_decay": 1e-5},
        **{"loss_network": f"{domain}/vgg", "loss_layers": ("features.27", "features.20", "features.13")},
    }


_DIGITS: dict[str, Any] = {**_MNIST, "augment": _SHIFT_DIGITS, "batch": 128, "max_lr": 2e-3, "weight_decay": 0.01}
_NATURAL: dict[str, Any] = {**_CIFAR10, "augment": _SHIFT_CIFAR10, "batch": 256}
_GRAY: dict[str, Any] = {
    **{"domain": "cifar10_gray", "dataset": "cifar10_gray", "mean": (0.481,), "std": (0.239,), "batch": 128},
    **{"augment": {"name": "shift", "params": {"by": 2, "flip": True}}, "max_lr": 2e-3},
}
_SGD: dict[str, Any] = {"optimizer": "sgd", "weight_decay": 5e-4}
_PHOTO_CROP = {"size": 160, "min_scale": 0.35, "max_rotation": 0.2, "color_jitter": 0.7}
_IMAGENETTE_CROP = {"size": 128, "first_size": 96, "min_scale": 0.3, "max_rotation": 0.1, "color_jitter": 0.2}

_ALL = (
    _classifier(
        *("photos_photonet", "PhotoNet", "photonet", "stages.3", "It recognizes these 17 images and nothing else."),
        {
            **{**_PHOTO, "augment": {"name": "crop", "params": _PHOTO_CROP}, "epochs": 20, "repeats_per_epoch": 47},
            **{"batch": 40, "max_lr": 4e-3, "weight_decay": 0.05},
        },
    ),
    _classifier("mnist_a", "Model A", "digit_a", "features.5", "Model A of DKN.", {**_DIGITS, "epochs": 6}),
    _classifier("mnist_b", "Model B", "digit_b", "features.3", "Model B of DKN.", {**_DIGITS, "epochs": 6}),
    _classifier(
        *("mnist_digits", "Model A on scikit-learn's digits", "digit_a", "features.5"),
        "A stand-in until MNIST is downloaded: Model A of DKN on smaller, coarser digits.",
        {**_DIGITS, "dataset": "digits", "epochs": 40},
    ),
    _classifier(
        *("cifar10_resnet", "ResNet", "whitened", "stages.2", "A small residual network behind a fixed whitening."),
        {**_NATURAL, **_SGD, "max_lr": 0.25, "epochs": 12, "label_smoothing": 0.15},
    ),
    _classifier(
        *("cifar10_vgg", "VGG", "vgg", "features.26", "A narrow VGG with batch norm."),
        {**_NATURAL, **_SGD, "max_lr": 0.1, "epochs": 18, "label_smoothing": 0.15},
    ),
    _classifier(
        *("cifar10_alexnet", "AlexNet", "alexnet", "features.11"),
        "AlexNet at the size of CIFAR-10, as the attention masks' paper attacks it.",
        {**_NATURAL, "max_lr": 1.5e-3, "weight_decay": 0.02, "epochs": 14, "label_smoothing": 0.05},
    ),
    _classifier(
        *("imagenette_resnet", "SE-ResNet", "imagenette", "stages.3"),
        "A small residual network with squeeze-and-excitation.",
        {
            **{**_PHOTO, **_SGD, "augment": {"name": "crop", "params": _IMAGENETTE_CROP}, "epochs": 80},
            **{"batch": 128, "max_lr": 0.2, "label_smoothing": 0.05},
        },
    ),
    _classifier(
        *("mnist_cnn", "Small CNN", "small_cnn", "features.4", "The network that Sivamani 2019 attacks."),
        {**_DIGITS, "epochs": 6},
    ),
    _classifier(
        *(
            "mnist_vgg",
            "VGG",
            "vgg_gray",
            "features.26",
            "A narrow VGG with batch norm; it measures the loss of denoisers.",
        ),
        {**_DIGITS, "epochs": 4},
    ),
    _classifier(
        *("cifar10_gray_cnn", "Small CNN", "small_cnn", "features.4", "The network that Sivamani 2019 attacks."),
        {**_GRAY, "weight_decay": 0.05, "epochs": 12},
    ),
    _classifier(
        *("cifar10_gray_vgg", "VGG", "vgg_gray", "features.26"),
        "A narrow VGG with batch norm; it measures the loss of denoisers.",
        {**_GRAY, "weight_decay": 0.05, "epochs": 6},
    ),
    _denoiser(
        *("hgd", "cifar10", "vgg", "Guided denoiser for VGG", "dunet"),
        {**_GUIDED, "crafted": (_attack("fgsm", 8 / 255), _pgd(8 / 255, 3)), "epochs": 8},
    ),
    _denoiser(
        *("dkn", "cifar10", "vgg", "Defense kernels for VGG", "kernel_prediction"),
        {**_kernels("cifar10", 8 / 255), "epochs": 8},
    ),
    _denoiser(
        *("dkn", "mnist", "a", "Defense kernels for model A", "kernel_prediction"),
        {**_kernels("mnist", 0.3), "epochs": 1},
    ),
    _denoiser(*("fl", "mnist", "cnn", "Feature-loss autoencoder", "autoencoder"), {**_features("mnist"), "epochs": 15}),
    *(
        _denoiser(
            *("hgd", domain, "cnn", "Guided denoiser for the small CNN", "dunet"),
            {**_GUIDED, "crafted": (_attack("fgsm", 0.2), _pgd(0.2, 20)), "epochs": 1},
        )
        for domain in ("mnist", "cifar10_gray")
    ),
    _denoiser(
        *("hgd", "imagenette", "resnet", "Guided denoiser for SE-ResNet", "dunet_photo"),
        {**_GUIDED, "crafted": (_attack("fgsm", 8 / 255), _pgd(8 / 255, 3)), "batch": 32, "epochs": 12},
    ),
    *(_masks("cifar10", "alexnet", "AlexNet", "fc", beta, 8, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("mnist", "a", "Model A", "fc", beta, 6, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("cifar10", "alexnet", "AlexNet", "conv", beta, 4, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("mnist", "a", "Model A", "conv", beta, 2, 6) for beta in (1.0, 3.0, 9.0)),
)
PLANS: dict[str, dict[str, Any]] = {plan["name"]: plan for plan in _ALL}  # of what ships, as JSON has them
