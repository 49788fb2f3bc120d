"""A tiny plan on scikit-learn's digits, which are always there, and the plugin that defines its network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.training import TrainingPlan

PLUGIN = """
from torch import nn

from core.models.architectures import ARCHITECTURES, Shape


@ARCHITECTURES.register("tiny")
def tiny(shape: Shape) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(shape.channels, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()),
        *(nn.Dropout(0.2), nn.Linear(8 * 7 * 7, shape.classes)),
    )
"""


def values(**changes: Any) -> dict[str, Any]:
    """The plan as JSON has it; stage settings change the stage."""
    stage = {
        **{"trains": "classifier", "epochs": 3, "batch": 128, "max_lr": 0.02},
        "objective": {"name": "cross_entropy", "params": {"label_smoothing": 0.05}},
        "augment": {"name": "shift", "params": {"by": 1, "flip": False}},
    }
    plan = {
        **{"name": "mnist_tiny", "title": "Tiny", "domain": "mnist", "dataset": "digits", "architecture": "tiny"},
        **{"mean": [0.13], "std": [0.31], "cam_layer": "0"},
    }
    for key, value in changes.items():
        (stage if key in stage or key in ("optimizer", "mixed_precision") else plan)[key] = value
    return {**plan, "stages": [stage], **{k: v for k, v in changes.items() if k == "stages"}}


def plan(**changes: Any) -> TrainingPlan:
    return TrainingPlan(**values(**changes))


def images() -> tuple[Tensor, Tensor]:
    """90 images of 8×8 in three classes that a tiny network learns in four epochs."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (90,), generator=generator)
    noise = torch.randint(0, 120, (90, 3, 8, 8), generator=generator)
    noise[torch.arange(90), labels] += 100  # the class is the brightest channel
    return noise.to(torch.uint8), labels


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(288, 3)
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
