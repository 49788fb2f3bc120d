"""Accuracy against eps of several classifiers, each attacked itself (white box)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.attacks import Attack
from core.cancellation import Cancelled
from core.evaluate.proportion import Proportion
from core.evaluate.transfer import BatchSteps, Classes, Classifiers, Stopped, batches, check_classifiers, predict
from core.inputs import InvalidInput
from core.progress import OnProgress

MAX_EPS = 12


@dataclass(frozen=True)
class EpsCurves:
    """What classifiers predict for the same images at each eps.

    Attributes:
        names: of the C classifiers.
        eps: E values in rising order; the first one is 0, the clean images.
        labels: the true classes, N.
        predicted: C×E×N.
        planned: the number of images that were asked for; more than N where it was stopped.
    """

    names: tuple[str, ...]
    eps: tuple[float, ...]
    labels: Classes
    predicted: Classes
    planned: int

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before all images were done."""
        return len(self.labels) < self.planned

    def curve(self, name: str) -> tuple[Proportion, ...]:
        """The accuracy of a classifier at each eps."""
        right = (self.predicted[self.names.index(name)] == self.labels).sum(1)
        return tuple(Proportion(int(count), len(self.labels)) for count in right)


def accuracy_by_eps(
    attacks: Sequence[Attack],
    classifiers: Classifiers,
    images: Tensor,
    labels: Tensor,
    *,
    target: int | None = None,
    seed: int = 0,
    batch: int = 50,
    on_progress: OnProgress | None = None,
) -> EpsCurves | None:
    """Attack every classifier with the same attack at several eps, and judge the images after 8-bit rounding.

    All points cover the same images, also after a stop.

    Args:
        attacks: one attack at 1 to 12 different eps above 0, such as `eps_grid.at_each_eps` gives.
        classifiers: by name, 1 to 8; they take images of one size and have the same classes.
        images: N×C×H×W in [0, 1]. labels: N.
        target, seed, batch, on_progress: as in `transfer_accuracy`.

    Returns:
        The predictions of all whole batches; None where it was stopped before the first one was done.

    Raises:
        InvalidInput: an attack has no eps or two have the same one, or the classifiers, images or labels do not fit each other.
    """
    ordered = by_eps(attacks)
    values = [eps_of(attack) for attack in ordered]
    for attack in ordered:
        check_classifiers(attack, classifiers, images, labels)
    models = list(classifiers.values())
    steps = BatchSteps(ordered[0], len(images) * len(models) * len(ordered), on_progress)
    parts = []
    for x, y in batches(images, labels, batch):
        try:
            parts.append(
                [
                    [
                        predict(model, x),
                        *(predict(model, steps.craft(model, x, y, target, seed, attack)) for attack in ordered),
                    ]
                    for model in models
                ]
            )
        except (Stopped, Cancelled):
            break
    if not parts:
        return None
    predicted = np.concatenate(parts, axis=2)
    done = predicted.shape[2]
    return EpsCurves(tuple(classifiers), (0.0, *values), labels[:done].cpu().numpy(), predicted, len(images))


def by_eps(attacks: Sequence[Attack]) -> list[Attack]:
    """The attacks in rising order of their eps.

    Raises:
        InvalidInput: there are none or too many, one has no eps or none above 0, or two have the same one.
    """
    ordered = sorted(attacks, key=eps_of)
    values = [eps_of(attack) for attack in ordered]
    if not 1 <= len(values) <= MAX_EPS or len(set(values)) < len(values) or values[0] <= 0:
        raise InvalidInput(
            f"Give 1 to {MAX_EPS} different values of eps above 0; eps 0 is the clean image and always there."
        )
    return ordered


def eps_of(attack: Attack) -> float:
    """The attack's eps.

    Raises:
        InvalidInput: it has none.
    """
    value = attack.values().get("eps")
    if not isinstance(value, int | float):
        raise InvalidInput(
            f"{attack.title} has no eps, so there is no curve; choose an attack with an eps, such as PGD."
        )
    return float(value)
