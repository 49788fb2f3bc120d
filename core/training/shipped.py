"""The plans of what ships, as JSON has them."""

from __future__ import annotations

from typing import Any

from core import files
from core.inputs import BadInput, quoted
from core.training.plans import Stage, TrainingPlan

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


LOSSES = {"l1": "the L1 loss", "perceptual": "the perceptual loss", "cross_entropy": "the cross-entropy"}
_ADAMW: dict[str, Any] = {"max_lr": 2e-3, "weight_decay": 0.01}
_GUIDED: dict[str, Any] = {**_ADAMW, "objective": {"name": "guided_denoiser", "params": {"clean": 0.25}}}


def _kernels(domain: str, eps: float) -> dict[str, Any]:
    """Hao's training; of a VGG's 8 convolutions, the loss compares the 6th and the 8th."""
    return {
        **{**_ADAMW, "crafted": (_attack("fgsm", eps),)},
        "objective": {"name": "defense_kernels", "params": {"eps": eps}},
        **{"loss_network": f"{domain}/vgg", "loss_layers": ("features.19", "features.26")},
    }


def _kernels_cifar10() -> dict[str, Any]:
    """Beside FGSM, as in the paper, PGD: trained on FGSM alone, the network leaves a quarter of the images right under PGD-20."""
    crafted = (_attack("fgsm", 8 / 255), _pgd(8 / 255, 3))
    return {**_kernels("cifar10", 8 / 255), "crafted": crafted, "batch": 256, "epochs": 8}


def _ablation(loss: str = "") -> dict[str, Any]:
    """The paper's training of the CIFAR-10 network, on FGSM alone, without one of its losses (Hao et al. 2019, figure 2)."""
    title = (
        f"Defense kernels for VGG, without {LOSSES[loss]}" if loss else "Defense kernels for VGG, trained on FGSM alone"
    )
    settings = {**_kernels("cifar10", 8 / 255), "epochs": 12}
    settings["objective"] = {"name": "defense_kernels", "params": {"eps": 8 / 255, **({loss: 0.0} if loss else {})}}
    plan = _denoiser("dkn", "cifar10", "vgg", title, "kernel_prediction", settings)
    return {**plan, "name": f"dkn_cifar10_vgg_no_{loss}" if loss else "dkn_cifar10_vgg_fgsm"}


def _feature_loss(domain: str) -> dict[str, Any]:
    """Sivamani's training; the loss compares the attacked network's first linear layer and its two max-pools.

    The first stage learns from the pixels alone: from random weights, the features lead to one gray image for all.
    """
    settings = {
        **{"crafted": (_attack("fgsm", 0.2), _pgd(0.2, 20)), "objective": {"name": "feature_losses"}, "batch": 256},
        **{"max_lr": 3e-3, "optimizer": "adam", "weight_decay": 1e-5, "epochs": 15},
        **{"loss_network": f"{domain}/cnn", "loss_layers": ("head.2", "features.5", "features.2")},
    }
    plan = _denoiser("fl", domain, "cnn", "Feature-loss autoencoder", "autoencoder", settings)
    pixels = {"name": "feature_losses", "params": {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}}
    return {
        **plan,
        "stages": ({**plan["stages"][0], "objective": pixels, "epochs": 5, "max_lr": 4e-3}, *plan["stages"]),
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


def _robust(
    name: str, title: str, base: str, description: str, objective: tuple[str, dict[str, Any]], settings: dict[str, Any]
) -> dict[str, Any]:
    """The plan of a classifier with the network of another one, whose plan is `base`, and an objective of its own.

    `settings` are those of the stage, and `starts_from`, `held_out` and `judged_by` of the plan. `ramp` names smaller budgets, each
    of a stage of two epochs before: an attack at the full budget from the start can leave a network at one answer for all images.
    """
    plan = _BASES[base]
    stage = {**plan["stages"][0], **{key: value for key, value in settings.items() if key in Stage.model_fields}}
    stage["objective"] = {"name": objective[0], "params": objective[1]}
    before = []
    for eps in settings.get("ramp", ()):
        params = {**objective[1], "eps": eps}
        if "step_size" in params:
            params["step_size"] *= eps / objective[1]["eps"]
        before.append({**stage, "epochs": 2, "objective": {"name": objective[0], "params": params}})
    more: dict[str, Any] = {key: settings[key] for key in ("starts_from", "held_out", "judged_by") if key in settings}
    return {**plan, "name": name, "title": title, "description": description, **more, "stages": (*before, stage)}


def _adversarial(eps: float, steps: int, step_size: float, **params: Any) -> dict[str, Any]:
    return {"eps": eps, "steps": steps, "step_size": step_size, **params}


def _judged(eps: float, steps: int = 10, images: int = 1000) -> dict[str, Any]:
    return {"held_out": images, "judged_by": _pgd(eps, steps)}


_PLAIN = (
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
_BASES = {plan["name"]: plan for plan in _PLAIN}
_EPS8 = 8 / 255
_CIFAR10_TUNED: dict[str, Any] = {"starts_from": "resnet", "max_lr": 0.05, "epochs": 8, "weight_decay": 5e-4}
_IMAGENETTE_TUNED: dict[str, Any] = {
    **{"starts_from": "resnet", "max_lr": 0.02, "batch": 64, "epochs": 10, "warmup": 0.2},
    "augment": {"name": "crop", "params": {**_IMAGENETTE_CROP, "size": 160, "first_size": 0}},
}
_ROBUST = (
    _robust(
        *("cifar10_resnet_robust", "ResNet, adversarially trained", "cifar10_resnet"),
        "Adversarial training with PGD at 8/255 (Madry et al. 2018).",
        ("adversarial_training", _adversarial(_EPS8, 3, 4 / 255)),
        {"max_lr": 0.1, "epochs": 30, "averaged": 0.998, **_judged(_EPS8)},
    ),
    _robust(
        *("cifar10_resnet_alp", "ResNet, adversarial logit pairing", "cifar10_resnet"),
        "Fine-tuned from ResNet with adversarial logit pairing at 8/255.",
        ("adversarial_logit_pairing", _adversarial(_EPS8, 3, 4 / 255, weight=0.5)),
        {**_CIFAR10_TUNED, **_judged(_EPS8)},
    ),
    _robust(
        *("cifar10_resnet_clp", "ResNet, clean logit pairing", "cifar10_resnet"),
        "Fine-tuned from ResNet with clean logit pairing: it never saw an adversarial image.",
        ("clean_logit_pairing", {"weight": 0.5}),
        {**_CIFAR10_TUNED, "epochs": 6},
    ),
    _robust(
        *("mnist_a_robust", "Model A, adversarially trained", "mnist_a"),
        "Model A of DKN, adversarially trained with PGD at 0.3 (Madry et al. 2018).",
        ("adversarial_training", _adversarial(0.3, 10, 0.075)),
        {"starts_from": "a", "ramp": (0.1, 0.2), "batch": 256, "epochs": 8, "max_lr": 1e-3, **_judged(0.3, 20)},
    ),
    *(
        _robust(
            *(f"{domain}_cnn_robust", "Small CNN, adversarially trained", f"{domain}_cnn"),
            "The network that Sivamani 2019 attacks, adversarially trained with PGD at 0.2"
            + (", on clean images too." if clean else "."),
            ("adversarial_training", _adversarial(0.2, 7, 0.07, clean=clean)),
            {"starts_from": "cnn", "batch": 256, "epochs": epochs, "max_lr": 1e-3, **_judged(0.2, 20)},
        )
        for domain, epochs, clean in (("mnist", 8, 0.0), ("cifar10_gray", 4, 0.5))
    ),
    _robust(
        *("mnist_mlp_certified", "Two-layer network, trained with its certificate", "mnist_mlp"),
        "Trained jointly with its certificate against flows of total variation 10.",
        ("flow_certificate", {"eps": 10.0, "weight": 4.0}),
        {
            **{"starts_from": "mlp", "ramp": (4.0,), "batch": 256, "epochs": 5, "max_lr": 2e-3, "weight_decay": 0.0},
            "mixed_precision": False,
        },
    ),
    _robust(
        *("imagenette_resnet_robust", "SE-ResNet, adversarially trained", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet on clean and adversarial images together, PGD at 8/255.",
        ("adversarial_training", _adversarial(_EPS8, 3, 4 / 255, clean=0.5)),
        {**_IMAGENETTE_TUNED, **_judged(_EPS8, images=500)},
    ),
    _robust(
        *("imagenette_resnet_alp", "SE-ResNet, adversarial logit pairing", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet with adversarial logit pairing at 8/255.",
        ("adversarial_logit_pairing", _adversarial(_EPS8, 3, 4 / 255, weight=0.5)),
        {**_IMAGENETTE_TUNED, **_judged(_EPS8, images=500)},
    ),
    _robust(
        *("imagenette_resnet_clp", "SE-ResNet, clean logit pairing", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet with clean logit pairing: it never saw an adversarial image.",
        ("clean_logit_pairing", {"weight": 0.5}),
        {**_IMAGENETTE_TUNED, "epochs": 6},
    ),
)


def _table_4(domain: str, std: float) -> tuple[dict[str, Any], ...]:
    """The networks of Defendr's table 4: trained on one attack at one ε, which is on normalized images with that standard deviation."""
    base, tuned = f"{domain}_resnet", _CIFAR10_TUNED if domain == "cifar10" else _IMAGENETTE_TUNED
    plans = []
    eps = 0.12 * std
    one, several = _adversarial(eps, 1, 1.25 * eps, clean=0.5), _adversarial(eps, 3, eps / 2, clean=0.5)
    for name, title, objective, params in (
        ("resnet_robust_fgsm_12", "adversarially trained on FGSM", "adversarial_training", one),
        ("resnet_robust_pgd_12", "adversarially trained on PGD", "adversarial_training", several),
        (
            "resnet_alp_fgsm_12",
            "adversarial logit pairing on FGSM",
            "adversarial_logit_pairing",
            {**one, "weight": 0.5},
        ),
    ):
        network = _BASES[base]["title"]
        settings = {**tuned, "epochs": 4}
        plans.append(
            _robust(f"{domain}_{name}", f"{network}, {title}", base, "Defendr, table 4.", (objective, params), settings)
        )
    for size, word in ((0.12, "12"), (0.3, "30")):
        for attack, crafted in (("fgsm", _attack("fgsm", size * std)), ("pgd", _pgd(size * std, 3))):
            title = f"Guided denoiser, trained on {attack.upper()} {size}"
            settings = {**_GUIDED, "crafted": (crafted,), "batch": 256 if domain == "cifar10" else 32, "epochs": 4}
            plan = _denoiser(
                "hgd", domain, "resnet", title, "dunet" if domain == "cifar10" else "dunet_photo", settings
            )
            plans.append({**plan, "name": f"hgd_{domain}_resnet_{attack}_{word}"})
    return tuple(plans)


_ALL = (
    *_PLAIN,
    *_ROBUST,
    *_table_4("cifar10", sum(_CIFAR10["std"]) / 3),
    *_table_4("imagenette", sum(_PHOTO["std"]) / 3),
    _denoiser(
        *("hgd", "cifar10", "vgg", "Guided denoiser for VGG", "dunet"),
        {**_GUIDED, "crafted": (_attack("fgsm", 8 / 255), _pgd(8 / 255, 3)), "epochs": 16},
    ),
    _denoiser(
        *("hgd", "cifar10", "resnet", "Guided denoiser for ResNet", "dunet"),
        {**_GUIDED, "crafted": (_attack("fgsm", 8 / 255), _pgd(8 / 255, 3)), "batch": 256, "epochs": 10},
    ),
    _denoiser(
        *("dkn", "cifar10", "vgg", "Defense kernels for VGG", "kernel_prediction"),
        _kernels_cifar10(),
    ),
    *(_ablation(loss) for loss in ("", *LOSSES)),
    _denoiser(
        *("dkn", "mnist", "a", "Defense kernels for model A", "kernel_prediction"),
        {**_kernels("mnist", 0.3), "epochs": 1},
    ),
    *(_feature_loss(domain) for domain in ("mnist", "cifar10_gray")),
    *(
        _denoiser(
            *("hgd", domain, "cnn", "Guided denoiser for the small CNN", "dunet"),
            {**_GUIDED, "crafted": (_attack("fgsm", 0.2), _pgd(0.2, 20)), "epochs": epochs},
        )
        for domain, epochs in (("mnist", 3), ("cifar10_gray", 8))
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
