"""What the plans share: normalizations, shifts and attacks, as JSON has them."""

from __future__ import annotations

from typing import Any

PHOTO: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CIFAR10: dict[str, Any] = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.247, 0.2435, 0.2616)}
MNIST: dict[str, Any] = {"mean": (0.1307,), "std": (0.3081,)}
SHIFT_DIGITS = {"name": "shift", "params": {"by": 2, "flip": False}}
SHIFT_CIFAR10 = {"name": "shift", "params": {"by": 3, "flip": True}}


def attack(name: str, eps: float, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": {"eps": eps, **params}}


def pgd(eps: float, steps: int) -> dict[str, Any]:
    """PGD with the usual step size, 2.5 times the budget over the number of steps."""
    return attack("pgd", eps, iterations=steps, step_size=2.5 * eps / steps, keep="last")
