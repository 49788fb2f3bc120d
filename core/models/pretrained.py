"""torchvision's ImageNet classifiers: published weights, or weights of the user's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field, FiniteFloat, PositiveFloat, ValidationError
from safetensors.torch import load_file
from torch import nn

from core.class_names import distinct
from core.fetching import Watch, fetch
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.models.folding import fold

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect
OWN = "_own"  # ends the name of a classifier with the user's own weights

# torchvision's architectures by family, each with its title and the layer that Grad-CAM looks at; the first is the default.
_TITLES = {
    "resnet50": ("ResNet-50", "layer4"),
    "resnet18": ("ResNet-18", "layer4"),
    "inception_v3": ("Inception v3", "Mixed_7c"),
    "vgg16": ("VGG-16", "features.29"),
    "vgg19": ("VGG-19", "features.35"),
    "alexnet": ("AlexNet", "features.11"),
    "densenet121": ("DenseNet-121", "features"),
    "googlenet": ("GoogLeNet", "inception5b"),
    "mobilenet_v2": ("MobileNet v2", "features"),
    "mobilenet_v3_large": ("MobileNet v3 large", "features"),
    "squeezenet1_0": ("SqueezeNet 1.0", "features"),
    "efficientnet_b0": ("EfficientNet B0", "features"),
    "convnext_tiny": ("ConvNeXt tiny", "features"),
    "vit_b_16": ("ViT B/16", "encoder.layers.encoder_layer_11.ln_1"),
    "swin_t": ("Swin tiny", "features"),
}


@lru_cache(maxsize=1)
def categories() -> tuple[str, ...]:
    """ImageNet's 1000 class names in the order of the logits, no two alike."""
    from torchvision.models import ResNet50_Weights  # here: torchvision takes seconds to import

    return distinct(ResNet50_Weights.DEFAULT.meta["categories"])


def own_weights(root: Path) -> dict[str, Path]:
    """The weight files that the user put into `root`/weights, by the classifier's name."""
    found = {}
    for path in sorted((root / "weights").glob("imagenet_*")):
        architecture = path.stem.removeprefix("imagenet_")
        if path.suffix in (".pth", ".pt", ".safetensors") and architecture in _TITLES:
            found[architecture + OWN] = path
    return found


def names(root: Path) -> tuple[str, ...]:
    """The classifiers there are, those with the user's own weights first: they need no download."""
    return (*own_weights(root), *_TITLES)


def title(name: str) -> str:
    """The classifier's name for people."""
    plain = _TITLES[name.removesuffix(OWN)][0]
    return f"{plain} (your own weights)" if name.endswith(OWN) else plain


def note(name: str, root: Path) -> str:
    """One line about where the weights come from and how good their publishers say they are."""
    if name.endswith(OWN):
        return f"Weights from {own_weights(root)[name].name}."
    meta = _weights(name).meta
    top1 = meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return f"{top1:.1f} % top-1 on ImageNet's validation set (published); {meta['_file_size']:.0f} MB, downloaded on first use."


def load(name: str, root: Path, device: str = "cpu", watch: Watch | None = None) -> Classifier:
    """The ImageNet classifier of that name, on `device`; published weights are downloaded into `root`/torch on first use.

    A file of the user's own may have a JSON file of the same stem beside it, with `mean`, `std` and `size`.

    Raises:
        BadInput: the weights cannot be downloaded, or the user's file does not fit the architecture.
    """
    architecture = name.removesuffix(OWN)
    about: dict[str, Any] = {"mean": MEAN, "std": STD, "size": _weights(architecture).transforms().crop_size[0]}
    if name.endswith(OWN):
        path = own_weights(root)[name]
        about |= _sidecar(path.with_suffix(".json"))
        network = _built(architecture)
        _fill(network, path)
    else:
        network = _published(architecture, root, watch)
    size = int(about["size"])
    classifier = Classifier(
        fold(network, torch.full((1, 3, size, size), 0.5)),
        name=name,
        title=title(name),
        domain="imagenet",
        classes=categories(),
        size=size,
        channels=3,
        mean=about["mean"],
        std=about["std"],
        cam_layer=_TITLES[architecture][1],
    )
    return classifier.to(device)


def _weights(architecture: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(architecture).DEFAULT


def _built(architecture: str) -> nn.Module:
    from torchvision.models import get_model

    # Inception and GoogLeNet carry extra heads in training; their published weights hold them, logits do not need them.
    extra = {"aux_logits": True, "init_weights": False} if architecture in ("inception_v3", "googlenet") else {}
    network: nn.Module = get_model(architecture, weights=None, **extra)
    return network


def _published(architecture: str, root: Path, watch: Watch | None) -> nn.Module:
    from torchvision.models import get_model

    weights, folder = _weights(architecture), root / "torch"
    torch.hub.set_dir(str(folder))
    size = int(weights.meta["_file_size"] * 1e6)
    fetch(
        lambda: weights.get_state_dict(progress=False, check_hash=True),
        folder,
        size,
        f"The weights of {title(architecture)}",
        watch,
    )
    # Built by torchvision from the file that now lies in its cache: it knows which networks rescale their input themselves.
    network: nn.Module = get_model(architecture, weights=weights)
    return network


def _fill(network: nn.Module, path: Path) -> None:
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        network.load_state_dict(state)
    except Exception as error:  # a stranger's file fails in as many ways as there are
        raise BadInput(
            f"{path.name} does not hold weights of torchvision's {path.stem.removeprefix('imagenet_')}."
        ) from error


class _Sidecar(BaseModel):
    """How the user's weights want their pictures; what it leaves out is as torchvision has it."""

    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = MEAN
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = STD
    size: int = Field(224, ge=32, le=1024)


def _sidecar(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return _Sidecar.model_validate_json(path.read_bytes()).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise BadInput(f'{path.name} must look like {{"mean": [r, g, b], "std": [r, g, b], "size": 224}}.') from error
