"""torchvision's ImageNet classifiers: published weights, or weights of the user's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core import files
from core.class_names import distinct
from core.fetching import RemoteFile, download
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.models.folding import fuse_conv_bn
from core.models.user_weights import ENDINGS, check_size, fill, read_sidecar
from core.progress import OnProgress

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect
RESCALING = (
    "googlenet",
    "inception_v3",
)  # their published weights expect other values, and they rescale the input themselves
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


def user_weights(root: Path) -> dict[str, Path]:
    """The weight files that the user put into `root`/weights, by the classifier's name."""
    paths: dict[str, Path] = {}
    for path in sorted((root / "weights").glob("imagenet_*")):
        ending = next((end for end in ENDINGS if path.name.endswith(end)), "")
        architecture = path.name.removeprefix("imagenet_").removesuffix(ending)
        if ending and architecture in _TITLES:
            paths.setdefault(architecture + OWN, path)
    return paths


def names(root: Path) -> tuple[str, ...]:
    """The classifiers there are, those with the user's own weights first: they need no download."""
    return (*user_weights(root), *_TITLES)


def title(name: str) -> str:
    """The classifier's name for people."""
    plain = _TITLES[name.removesuffix(OWN)][0]
    return f"{plain} (your own weights)" if name.endswith(OWN) else plain


def note(name: str, root: Path) -> str:
    """One line about where the weights come from and how good their publishers say they are."""
    if name.endswith(OWN):
        return f"Weights from {user_weights(root)[name].name}."
    meta = _weights(name).meta
    top1 = meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return f"{top1:.1f} % top-1 on ImageNet's validation set (published); {meta['_file_size']:.0f} MB, downloaded on first use."


def load(name: str, root: Path, device: str = "cpu", on_progress: OnProgress | None = None) -> Classifier:
    """The ImageNet classifier of that name, on `device`; published weights are downloaded into `root`/torch on first use.

    A file of the user's own may have a JSON file of the same name beside it, with `mean`, `std`, `size` and `transform_input`.
    `on_progress` is called with the bytes of a download, as in `download`.

    Raises:
        InvalidInput: the weights cannot be downloaded, or the user's file does not fit the architecture.
    """
    architecture = name.removesuffix(OWN)
    size, mean, std = _weights(architecture).transforms().crop_size[0], MEAN, STD
    path = user_weights(root).get(name)
    if name.endswith(OWN):
        if path is None:
            raise InvalidInput(
                f"The weights of {title(name)} are not in {files.display_path(root / 'weights')} any more; put them back."
            )
        sidecar = read_sidecar(path.parent / f"imagenet_{architecture}.json")
        size, mean, std = sidecar.size or size, sidecar.mean or MEAN, sidecar.std or STD
        network = _built(architecture)
        fill(network, path, architecture, len(categories()))
        if architecture in RESCALING:
            # torchvision's weights want it; who names another normalization means that one alone.
            usual = (mean, std) == (MEAN, STD)
            network.transform_input = usual if sidecar.transform_input is None else sidecar.transform_input  # type: ignore[assignment]
    else:
        network = _published(architecture, root, on_progress)
    if path is not None:
        network.eval()
        check_size(network, path, size, len(categories()))
    classifier = Classifier(
        fuse_conv_bn(network, torch.full((1, 3, size, size), 0.5)),
        name=name,
        title=title(name),
        domain="imagenet",
        classes=categories(),
        size=size,
        channels=3,
        mean=mean,
        std=std,
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


def _published(architecture: str, root: Path, on_progress: OnProgress | None) -> nn.Module:
    from torchvision.models import get_model

    weights, folder = _weights(architecture), root / "torch"
    torch.hub.set_dir(str(folder))
    size = int(weights.meta["_file_size"] * 1e6)
    name = weights.url.rpartition("/")[2]  # resnet50-11ad3fa6.pth: the first digits of its hash are in its name
    prefix = Path(name).stem.rpartition("-")[2]
    file = RemoteFile([weights.url], folder / "checkpoints" / name, sha256_prefix=prefix)
    download([file], folder, size, f"The weights of {title(architecture)}", on_progress)
    # Built by torchvision from the file that now lies in its cache: it knows which networks rescale their input themselves.
    network: nn.Module = get_model(architecture, weights=weights)
    return network
