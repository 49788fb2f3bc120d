"""Judging a classifier after every epoch: its accuracy under an attack on images that were kept from training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core import attacks, domains
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.training.data import Data
from core.training.plans import TrainingPlan

BATCH = 250  # images attacked together
CLEAN, ATTACKED = "held-out accuracy", "held-out accuracy under attack"  # in the curves


def split_held_out(plan: TrainingPlan, data: Data) -> tuple[Data, Data | None]:
    """The images that are trained on, and those that the plan holds out; the same ones for every seed.

    Raises:
        InvalidInput: the plan holds out all of them.
    """
    if not plan.held_out:
        return data, None
    if plan.held_out >= len(data[1]):
        raise InvalidInput(
            f"The plan holds out {plan.held_out:,} images, and there are {len(data[1]):,}; lower 'held_out'."
        )
    order = torch.randperm(len(data[1]), generator=torch.Generator().manual_seed(0))
    held_out, trained = order[: plan.held_out], order[plan.held_out :].sort().values
    return (data[0][trained], data[1][trained]), (data[0][held_out], data[1][held_out])


@dataclass
class Best:
    """The best epoch of a stage so far.

    Attributes:
        epoch: from 1; 0 before the first. accuracy: under the attack. weights: of the network then.
        warning: a sentence, where the accuracy fell by half since.
    """

    epoch: int = 0
    accuracy: float = 0.0
    weights: dict[str, Tensor] = field(default_factory=dict)
    warning: str = ""

    def add(self, epoch: int, accuracy: float, network: nn.Module) -> None:
        """Enter an epoch with the network after it."""
        if self.note(epoch, accuracy):
            self.weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

    def note(self, epoch: int, accuracy: float) -> bool:
        """Enter an epoch's accuracy; whether it is the best so far."""
        if accuracy >= self.accuracy or not self.epoch:
            self.epoch, self.accuracy, self.warning = epoch, accuracy, ""
            return True
        if accuracy < self.accuracy / 2 and not self.warning:
            self.warning = (
                f"Catastrophic overfitting: the accuracy under attack on held-out images fell from {100 * self.accuracy:.1f} % to "
                f"{100 * accuracy:.1f} % in epoch {epoch}; epoch {self.epoch} is kept."
            )
        return False


def judge(plan: TrainingPlan, network: nn.Module, data: Data, device: torch.device) -> dict[str, float]:
    """The accuracy of a network on held-out images, clean and under the plan's attack, by what is measured.

    Args:
        network: images N×C×H×W in [0, 1] to logits N×K.
        data: images uint8 N×C×H×W and labels int64 N.
    """
    assert plan.judged_by is not None
    domain = domains.get(plan.domain)
    attack = attacks.build(plan.judged_by.name, plan.judged_by.params)
    classifier = Classifier.wrap(network, classes=domain.classes, size=domain.size, channels=domain.channels)
    classifier.to(device)
    right = {CLEAN: 0, ATTACKED: 0}
    for number, (x, y) in enumerate(zip(torch.split(data[0], BATCH), torch.split(data[1], BATCH), strict=True)):
        images, labels = x.to(device).float() / 255, y.to(device)
        attacked = attack(classifier, images, labels, generator=torch.Generator().manual_seed(number)).images
        with torch.no_grad():
            for name, shown in zip(right, (images, attacked), strict=True):
                right[name] += int((classifier(shown).argmax(1) == labels).sum())
    return {name: count / len(data[1]) for name, count in right.items()}


def overfitting(lines: list[dict[str, Any]]) -> str:
    """What the curves of a run tell of catastrophic overfitting in its last stage, as a sentence; empty where there was none."""
    best, stage = Best(), 0
    for line in lines:
        metrics = line.get("metrics")
        accuracy = metrics.get(ATTACKED) if isinstance(metrics, dict) else None
        number, epoch = line.get("stage"), line.get("epoch")
        if not (isinstance(accuracy, int | float) and isinstance(number, int) and isinstance(epoch, int)):
            continue
        if number != stage:
            best, stage = Best(), number
        best.note(epoch, float(accuracy))
    return best.warning
