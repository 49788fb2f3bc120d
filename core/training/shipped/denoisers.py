"""The plans of denoisers."""

from __future__ import annotations

from typing import Any

from core.training.plans import Stage
from core.training.shipped.parts import CIFAR10, PHOTO, attack, pgd

LOSSES = {"l1": "the L1 loss", "perceptual": "the perceptual loss", "cross_entropy": "the cross-entropy"}
_ADAMW: dict[str, Any] = {"max_lr": 2e-3, "weight_decay": 0.01}
GUIDED: dict[str, Any] = {**_ADAMW, "objective": {"name": "guided_denoiser", "params": {"clean": 0.25}}}


def denoiser(
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


def _kernels(domain: str, eps: float) -> dict[str, Any]:
    """Hao's training; of a VGG's 8 convolutions, the loss compares the 6th and the 8th."""
    return {
        **{**_ADAMW, "crafted": (attack("fgsm", eps),)},
        "objective": {"name": "defense_kernels", "params": {"eps": eps}},
        **{"loss_network": f"{domain}/vgg", "loss_layers": ("features.19", "features.26")},
    }


def _kernels_cifar10() -> dict[str, Any]:
    """Beside FGSM, as in the paper, PGD: trained on FGSM alone, the network leaves a quarter of the images right under PGD-20."""
    crafted = (attack("fgsm", 8 / 255), pgd(8 / 255, 3))
    return {**_kernels("cifar10", 8 / 255), "crafted": crafted, "batch": 256, "epochs": 8}


def _ablation(loss: str = "") -> dict[str, Any]:
    """The paper's training of the CIFAR-10 network, on FGSM alone, without one of its losses (Hao et al. 2019, figure 2)."""
    title = (
        f"Defense kernels for VGG, without {LOSSES[loss]}" if loss else "Defense kernels for VGG, trained on FGSM alone"
    )
    settings = {**_kernels("cifar10", 8 / 255), "epochs": 12}
    settings["objective"] = {"name": "defense_kernels", "params": {"eps": 8 / 255, **({loss: 0.0} if loss else {})}}
    plan = denoiser("dkn", "cifar10", "vgg", title, "kernel_prediction", settings)
    return {**plan, "name": f"dkn_cifar10_vgg_no_{loss}" if loss else "dkn_cifar10_vgg_fgsm"}


def _feature_loss(domain: str) -> dict[str, Any]:
    """Sivamani's training; the loss compares the attacked network's first linear layer and its two max-pools.

    The first stage learns from the pixels alone: from random weights, the features lead to one gray image for all.
    """
    settings = {
        **{"crafted": (attack("fgsm", 0.2), pgd(0.2, 20)), "objective": {"name": "feature_losses"}, "batch": 256},
        **{"max_lr": 3e-3, "optimizer": "adam", "weight_decay": 1e-5, "epochs": 15},
        **{"loss_network": f"{domain}/cnn", "loss_layers": ("head.2", "features.5", "features.2")},
    }
    plan = denoiser("fl", domain, "cnn", "Feature-loss autoencoder", "autoencoder", settings)
    pixels = {"name": "feature_losses", "params": {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}}
    return {
        **plan,
        "stages": ({**plan["stages"][0], "objective": pixels, "epochs": 5, "max_lr": 4e-3}, *plan["stages"]),
    }


def table_4_denoisers(domain: str, std: float) -> tuple[dict[str, Any], ...]:
    """The denoisers of Defendr's table 4, as `robust.table_4_classifiers`."""
    plans = []
    for size, ending in ((0.12, "12"), (0.3, "30")):
        for word, crafted in (("fgsm", attack("fgsm", size * std)), ("pgd", pgd(size * std, 3))):
            title = f"Guided denoiser, trained on {word.upper()} {size}"
            settings = {**GUIDED, "crafted": (crafted,), "batch": 256 if domain == "cifar10" else 32, "epochs": 4}
            plan = denoiser("hgd", domain, "resnet", title, "dunet" if domain == "cifar10" else "dunet_photo", settings)
            plans.append({**plan, "name": f"hgd_{domain}_resnet_{word}_{ending}"})
    return tuple(plans)


DENOISERS = (
    denoiser(
        *("hgd", "cifar10", "vgg", "Guided denoiser for VGG", "dunet"),
        {**GUIDED, "crafted": (attack("fgsm", 8 / 255), pgd(8 / 255, 3)), "epochs": 16},
    ),
    denoiser(
        *("hgd", "cifar10", "resnet", "Guided denoiser for ResNet", "dunet"),
        {**GUIDED, "crafted": (attack("fgsm", 8 / 255), pgd(8 / 255, 3)), "batch": 256, "epochs": 10},
    ),
    denoiser(
        *("dkn", "cifar10", "vgg", "Defense kernels for VGG", "kernel_prediction"),
        _kernels_cifar10(),
    ),
    *(_ablation(loss) for loss in ("", *LOSSES)),
    denoiser(
        *("dkn", "mnist", "a", "Defense kernels for model A", "kernel_prediction"),
        {**_kernels("mnist", 0.3), "epochs": 1},
    ),
    *(_feature_loss(domain) for domain in ("mnist", "cifar10_gray")),
    *(
        denoiser(
            *("hgd", domain, "cnn", "Guided denoiser for the small CNN", "dunet"),
            {**GUIDED, "crafted": (attack("fgsm", 0.2), pgd(0.2, 20)), "epochs": epochs},
        )
        for domain, epochs in (("mnist", 3), ("cifar10_gray", 8))
    ),
    denoiser(
        *("hgd", "imagenette", "resnet", "Guided denoiser for SE-ResNet", "dunet_photo"),
        {**GUIDED, "crafted": (attack("fgsm", 8 / 255), pgd(8 / 255, 3)), "batch": 32, "epochs": 12},
    ),
    *table_4_denoisers("cifar10", sum(CIFAR10["std"]) / 3),
    *table_4_denoisers("imagenette", sum(PHOTO["std"]) / 3),
)
