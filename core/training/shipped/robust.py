"""The plans of robust classifiers: the network of a plain one, with an objective of its own."""

from __future__ import annotations

from typing import Any

from core.training.plans import Stage
from core.training.shipped.classifiers import IMAGENETTE_CROP, PLAIN
from core.training.shipped.parts import CIFAR10, PHOTO, pgd

BASES = {plan["name"]: plan for plan in PLAIN}
_EPS8 = 8 / 255
CIFAR10_TUNED: dict[str, Any] = {"starts_from": "resnet", "max_lr": 0.05, "epochs": 8, "weight_decay": 5e-4}
IMAGENETTE_TUNED: dict[str, Any] = {
    **{"starts_from": "resnet", "max_lr": 0.02, "batch": 64, "epochs": 10, "warmup": 0.2},
    "augment": {"name": "crop", "params": {**IMAGENETTE_CROP, "size": 160, "first_size": 0}},
}


def robust(
    name: str,
    title: str,
    base_name: str,
    description: str,
    objective: tuple[str, dict[str, Any]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The plan of a classifier with the network of another one, whose plan is `base_name`, and an objective of its own.

    `settings` are those of the stage, and `starts_from`, `held_out` and `judged_by` of the plan. `ramp` names smaller budgets, each
    of a stage of two epochs before: an attack at the full budget from the start can leave a network at one answer for all images.
    `last` makes one more stage at the end, with other parameters of the objective and other settings.
    """
    plan = BASES[base_name]
    stage = {**plan["stages"][0], **{key: value for key, value in settings.items() if key in Stage.model_fields}}
    stage["objective"] = {"name": objective[0], "params": objective[1]}
    before = []
    for eps in settings.get("ramp", ()):
        params = {**objective[1], "eps": eps}
        if "step_size" in params:
            params["step_size"] *= eps / objective[1]["eps"]
        before.append({**stage, "epochs": 2, "objective": {"name": objective[0], "params": params}})
    more: dict[str, Any] = {key: settings[key] for key in ("starts_from", "held_out", "judged_by") if key in settings}
    stages = [*before, stage]
    if "last" in settings:
        params, changes = settings["last"]
        stages.append({**stage, **changes, "objective": {"name": objective[0], "params": {**objective[1], **params}}})
    return {**plan, "name": name, "title": title, "description": description, **more, "stages": tuple(stages)}


def adversarial(eps: float, steps: int, step_size: float, **params: Any) -> dict[str, Any]:
    return {"eps": eps, "steps": steps, "step_size": step_size, **params}


def _judged(eps: float, steps: int = 10, images: int = 1000) -> dict[str, Any]:
    return {"held_out": images, "judged_by": pgd(eps, steps)}


_SHIPPED = (
    robust(
        *("cifar10_resnet_robust", "ResNet (adversarially trained)", "cifar10_resnet"),
        "Adversarial training with PGD at 8/255 (Madry et al. 2018).",
        ("adversarial_training", adversarial(_EPS8, 3, 4 / 255)),
        {"max_lr": 0.1, "epochs": 30, "averaged": 0.998, **_judged(_EPS8)},
    ),
    robust(
        *("cifar10_resnet_alp", "ResNet (adversarial logit pairing)", "cifar10_resnet"),
        "Fine-tuned from ResNet with adversarial logit pairing at 8/255.",
        ("adversarial_logit_pairing", adversarial(_EPS8, 3, 4 / 255, weight=0.5)),
        {**CIFAR10_TUNED, **_judged(_EPS8)},
    ),
    robust(
        *("cifar10_resnet_clp", "ResNet (clean logit pairing)", "cifar10_resnet"),
        "Fine-tuned from ResNet with clean logit pairing: it never saw an adversarial image.",
        ("clean_logit_pairing", {"weight": 0.5}),
        {**CIFAR10_TUNED, "epochs": 6},
    ),
    robust(
        *("mnist_a_robust", "Model A (adversarially trained)", "mnist_a"),
        "Model A of Hao et al. 2019, adversarially trained with PGD at 0.3 and, in the last three epochs, at 0.35 (Madry et al. 2018).",
        ("adversarial_training", adversarial(0.3, 10, 0.075)),
        {
            **{"starts_from": "a", "ramp": (0.1, 0.2), "batch": 256, "epochs": 8, "max_lr": 1e-3, **_judged(0.3, 20)},
            # Training at a larger budget at the end raises the accuracy at 0.3.
            "last": (adversarial(0.35, 7, 0.125), {"epochs": 3, "max_lr": 5e-4}),
        },
    ),
    *(
        robust(
            *(f"{domain}_cnn_robust", "Small CNN (adversarially trained)", f"{domain}_cnn"),
            "The network that Sivamani 2019 attacks, adversarially trained with PGD at 0.2"
            + (", on clean images too." if clean else "."),
            ("adversarial_training", adversarial(0.2, 7, 0.07, clean=clean)),
            {"starts_from": "cnn", "batch": 256, "epochs": epochs, "max_lr": 1e-3, **_judged(0.2, 20)},
        )
        for domain, epochs, clean in (("mnist", 8, 0.0), ("cifar10_gray", 4, 0.5))
    ),
    robust(
        *("mnist_mlp_certified", "Two-layer network (trained with its certificate)", "mnist_mlp"),
        "Trained jointly with its certificate against flows of total variation 7, and on images moved by flows of up to 84.",
        (
            "flow_certificate",
            {"eps": 7.0, "weight": 2.0, "max_tv": 84.0, "steps": 3, "attacked": 3.0, "first_order": 1.0},
        ),
        {
            **{"starts_from": "mlp", "ramp": (3.0,), "batch": 256, "epochs": 5, "max_lr": 2e-3, "weight_decay": 0.0},
            "mixed_precision": False,
        },
    ),
    robust(
        *("imagenette_resnet_robust", "SE-ResNet (adversarially trained)", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet on clean and adversarial images together, PGD at 8/255.",
        ("adversarial_training", adversarial(_EPS8, 5, 2.5 / 255, clean=0.5)),
        {
            **{**IMAGENETTE_TUNED, "batch": 128, "epochs": 12, "max_lr": 0.05, "averaged": 0.99},
            **_judged(_EPS8, images=500),
        },
    ),
    robust(
        *("imagenette_resnet_alp", "SE-ResNet (adversarial logit pairing)", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet with adversarial logit pairing at 8/255.",
        ("adversarial_logit_pairing", adversarial(_EPS8, 3, 4 / 255, weight=0.5)),
        {**IMAGENETTE_TUNED, **_judged(_EPS8, images=500)},
    ),
    robust(
        *("imagenette_resnet_clp", "SE-ResNet (clean logit pairing)", "imagenette_resnet"),
        "Fine-tuned from SE-ResNet with clean logit pairing: it never saw an adversarial image.",
        ("clean_logit_pairing", {"weight": 0.5}),
        {**IMAGENETTE_TUNED, "epochs": 6},
    ),
)


def table_4_classifiers(domain: str, std: float) -> tuple[dict[str, Any], ...]:
    """The classifiers of Defendr's table 4: trained on one attack at one ε, which is on normalized images with that standard deviation."""
    base_name, tuned = f"{domain}_resnet", CIFAR10_TUNED if domain == "cifar10" else IMAGENETTE_TUNED
    plans = []
    eps = 0.12 * std
    one_step, several_steps = adversarial(eps, 1, 1.25 * eps, clean=0.5), adversarial(eps, 3, eps / 2, clean=0.5)
    for name, title, objective, params in (
        ("resnet_robust_fgsm_12", "adversarially trained on FGSM", "adversarial_training", one_step),
        ("resnet_robust_pgd_12", "adversarially trained on PGD", "adversarial_training", several_steps),
        (
            "resnet_alp_fgsm_12",
            "adversarial logit pairing on FGSM",
            "adversarial_logit_pairing",
            {**one_step, "weight": 0.5},
        ),
    ):
        network = BASES[base_name]["title"]
        settings = {**tuned, "epochs": 4}
        plans.append(
            robust(
                f"{domain}_{name}",
                f"{network} ({title})",
                base_name,
                "Defendr, table 4.",
                (objective, params),
                settings,
            )
        )
    return tuple(plans)


ROBUST = (
    *_SHIPPED,
    *table_4_classifiers("cifar10", sum(CIFAR10["std"]) / 3),
    *table_4_classifiers("imagenette", sum(PHOTO["std"]) / 3),
)
