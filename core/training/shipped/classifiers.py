"""The plans of classifiers that are trained on images as they are."""

from __future__ import annotations

from typing import Any

from core.training.plans import Stage
from core.training.shipped.parts import CIFAR10, MNIST, PHOTO, SHIFT_CIFAR10, SHIFT_DIGITS

_DIGITS: dict[str, Any] = {**MNIST, "augment": SHIFT_DIGITS, "batch": 128, "max_lr": 2e-3, "weight_decay": 0.01}
_NATURAL: dict[str, Any] = {**CIFAR10, "augment": SHIFT_CIFAR10, "batch": 256}
_GRAY: dict[str, Any] = {
    **{"domain": "cifar10_gray", "dataset": "cifar10_gray", "mean": (0.481,), "std": (0.239,), "batch": 128},
    **{"augment": {"name": "shift", "params": {"by": 2, "flip": True}}, "max_lr": 2e-3},
}
_SGD: dict[str, Any] = {"optimizer": "sgd", "weight_decay": 5e-4}
_PHOTO_CROP = {"size": 160, "min_scale": 0.35, "max_rotation": 0.2, "color_jitter": 0.7}
IMAGENETTE_CROP = {"size": 128, "first_size": 96, "min_scale": 0.3, "max_rotation": 0.1, "color_jitter": 0.2}


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


PLAIN = (
    _classifier(
        *("photos_photonet", "PhotoNet", "photonet", "stages.3", "It recognizes these 17 images and nothing else."),
        {
            **{**PHOTO, "augment": {"name": "crop", "params": _PHOTO_CROP}, "epochs": 20, "repeats_per_epoch": 47},
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
            **{**PHOTO, **_SGD, "augment": {"name": "crop", "params": IMAGENETTE_CROP}, "epochs": 80},
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
        *(
            "mnist_mlp",
            "Two-layer network",
            "two_layer",
            "",
            "One hidden layer of 500 units, the plain network of Nguyen 2018.",
        ),
        {**_DIGITS, "augment": {"name": "none"}, "epochs": 8},
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
)
