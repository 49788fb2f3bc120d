"""Attacks that are crafted on one classifier and judged by others, on many images (black-box transfer)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.attacks import Attack
from core.cancellation import Cancelled
from core.evaluate.proportion import Proportion
from core.images import quantise
from core.inputs import InvalidInput, check_labels, check_logits
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.engine import craft_batch

MAX_CLASSIFIERS = 8

Classes = npt.NDArray[np.int64]
Classifiers = Mapping[str, Classifier]


@dataclass(frozen=True)
class TransferAccuracy:
    """What classifiers predict for the same images: not attacked, and attacked on each of the classifiers.

    Attributes:
        names: of the C classifiers.
        labels: the true classes, N.
        clean: predicted classes of the images that are not attacked, C×N.
        attacked: `attacked[i][j]` are the classes that classifier j predicts for the images crafted on classifier i, C×C×N.
        planned: the number of images that were asked for; more than N where it was stopped.
    """

    names: tuple[str, ...]
    labels: Classes
    clean: Classes
    attacked: Classes
    planned: int

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before all images were done."""
        return len(self.labels) < self.planned

    def predicted(self, judge: str, crafted_on: str | None) -> Classes:
        """The classes that `judge` predicts, N, for the images crafted on that classifier; for the clean ones without it."""
        column = self.names.index(judge)
        predictions = self.clean if crafted_on is None else self.attacked[self.names.index(crafted_on)]
        classes: Classes = predictions[column]
        return classes

    def accuracy(self, judge: str, crafted_on: str | None = None) -> Proportion:
        """Of all images, those whose class `judge` predicts right."""
        return Proportion(int((self.predicted(judge, crafted_on) == self.labels).sum()), len(self.labels))

    def agreement(self, first: str, second: str, crafted_on: str | None = None) -> Proportion:
        """Of all images, those for which two classifiers predict the same class, right or wrong."""
        same = self.predicted(first, crafted_on) == self.predicted(second, crafted_on)
        return Proportion(int(same.sum()), len(self.labels))


def transfer_accuracy(
    attack: Attack,
    classifiers: Classifiers,
    images: Tensor,
    labels: Tensor,
    *,
    target: int | None = None,
    seed: int = 0,
    batch: int = 50,
    on_progress: OnProgress | None = None,
) -> TransferAccuracy | None:
    """Craft one attack on every classifier and let all of them judge the result, rounded to 8 bits.

    Each batch is crafted once on each classifier. All cells cover the same images, also after a stop. An attack on a classifier is
    the white box on the diagonal and a black box elsewhere. An image of the target's own class is not attacked.

    Args:
        classifiers: by name, 1 to 8; they take images of one size and have the same classes.
        images: N×C×H×W in [0, 1]. labels: N.
        target: the class that all images are pushed toward; None for an untargeted attack.
        seed: of the attack. An image has the same random numbers in every batch and on every classifier.
        batch: images attacked together.
        on_progress: is called at every step of the attack; returns True to stop.

    Returns:
        The predictions of all whole batches; None where it was stopped before the first one was done.

    Raises:
        InvalidInput: the classifiers, images or labels do not fit each other, or the attack makes one change for all images.
    """
    check_classifiers(attack, classifiers, images, labels)
    models, clean, attacked = list(classifiers.values()), [], []
    total = len(images) * len(models)
    steps = BatchSteps(attack, total, on_progress)
    for x, y in batches(images, labels, batch):
        try:
            rows = []
            for model in models:
                adversarial = steps.craft(model, x, y, target, seed)
                rows.append([predict(judge, adversarial) for judge in models])
            clean.append([predict(judge, x) for judge in models])
        except (Stopped, Cancelled):
            break
        attacked.append(rows)
    if not attacked:
        return None
    done = np.concatenate(clean, axis=1)
    return TransferAccuracy(
        tuple(classifiers), labels[: done.shape[1]].cpu().numpy(), done, np.concatenate(attacked, axis=2), len(images)
    )


# Shared with accuracy by eps


class Stopped(Exception):
    """A batch was stopped before its end; nothing of it counts."""


class BatchSteps:
    """Crafts batches and tells how many images are done.

    Args:
        total: images crafted in all, each as often as it is crafted.
    """

    def __init__(self, attack: Attack, total: int, on_progress: OnProgress | None) -> None:
        self.attack, self.total, self.on_progress, self.done = attack, total, on_progress, 0

    def craft(
        self, model: Classifier, x: Tensor, y: Tensor, target: int | None, seed: int, attack: Attack | None = None
    ) -> Tensor:
        """Adversarial images N×C×H×W, rounded to 8 bits.

        Raises:
            Stopped: `on_progress` stopped it.
        """
        attack = attack or self.attack

        def report(_step: Progress | None = None) -> bool:
            text = f"{attack.title} on {model.title}"
            return self.on_progress is not None and bool(self.on_progress(Progress(text, self.done, self.total)))

        if report():
            raise Stopped
        x, y = x.to(model.device), y.to(model.device)
        crafted = craft_batch(attack, model, x, y, target, seed=seed, on_progress=report)
        if crafted.stopped:
            raise Stopped
        self.done += len(x)
        return quantise(crafted.images)


def batches(images: Tensor, labels: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels in parts of that size, the last one smaller."""
    return zip(torch.split(images, size), torch.split(labels, size), strict=True)


@torch.no_grad()
def predict(classifier: Classifier, images: Tensor) -> Classes:
    """The predicted classes of images N×C×H×W as 8-bit files, N.

    Raises:
        InvalidInput: the logits are not finite.
    """
    logits = classifier(quantise(images).to(classifier.device))
    check_logits(logits)
    classes: Classes = logits.argmax(1).cpu().numpy()
    return classes


def check_classifiers(attack: Attack, classifiers: Classifiers, images: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be compared.

    Raises:
        InvalidInput: there are no classifiers or too many, they are not of one form, or the attack makes one change for all images.
    """
    if not 1 <= len(classifiers) <= MAX_CLASSIFIERS:
        raise InvalidInput(f"Choose 1 to {MAX_CLASSIFIERS} classifiers; {len(classifiers)} were given.")
    if attack.universal:
        raise InvalidInput(f"{attack.title} makes one change for all images; choose an attack on single images.")
    if not len(images):
        raise InvalidInput("There are no images to attack; ask for at least one.")
    first = next(iter(classifiers.values()))
    for other in classifiers.values():
        if (other.size, other.channels, len(other.classes)) != (first.size, first.channels, len(first.classes)):
            raise InvalidInput(
                f"{other.title} takes other images or knows other classes than {first.title}; choose classifiers of one form."
            )
    check_labels(labels, len(images), len(first.classes))
