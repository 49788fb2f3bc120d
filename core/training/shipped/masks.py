"""The plans of attention masks."""

from __future__ import annotations

from typing import Any

from core.training.shipped.parts import SHIFT_CIFAR10, SHIFT_DIGITS


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
        "augment": SHIFT_CIFAR10 if domain == "cifar10" else SHIFT_DIGITS,
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


MASKS = (
    *(_masks("cifar10", "alexnet", "AlexNet", "fc", beta, 8, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("mnist", "a", "Model A", "fc", beta, 6, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("cifar10", "alexnet", "AlexNet", "conv", beta, 4, 10) for beta in (1.0, 3.0, 9.0)),
    *(_masks("mnist", "a", "Model A", "conv", beta, 2, 6) for beta in (1.0, 3.0, 9.0)),
)
