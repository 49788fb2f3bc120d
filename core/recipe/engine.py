"""Crafting and judging, the same for a recipe, which is a batch of one, and for an evaluation, which is many batches."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from core.attacks import Attack, AttackResult, Criterion
from core.defenses import Defense
from core.inputs import check_logits
from core.models.classifier import Classifier
from core.progress import OnProgress
from core.recipe.universal import Universal, apply_universal
from core.stopwatch import Stopwatch
from core.systems import Backward, Guarded, System
from core.systems.ensemble import vote
from core.systems.system import Loader

# Judging


@dataclass(frozen=True)
class Judged:
    """What a system says of a batch.

    Attributes:
        logits: of the system, N×K.
        members: each member's logits, N×K.
        defended: what the first member's classifier gets to see, N×C×H×W; of a randomized defense, one draw.
        seconds: what the defenses took, once each.
    """

    logits: Tensor
    members: tuple[Tensor, ...]
    defended: Tensor
    seconds: float


@torch.no_grad()
def judge_batch(system: System | None, load: Loader, images: Tensor, *, seed: int) -> Judged:
    """What a system says of images N×C×H×W in [0, 1]; without a system, the recipe's own classifier.

    A randomized defense is judged by the mean over several draws, which depend on the seed and on the image.

    Raises:
        InvalidInput: a classifier is missing or does not fit, or the logits are not finite.
    """
    if system is None:
        logits = load("")(images)
        check_logits(logits)
        return Judged(logits, (logits,), images, 0.0)
    parts = [_judge_member(classifier, defense, images, seed) for classifier, defense in system.loaded(load)]
    members = tuple(logits for logits, _, _ in parts)
    for logits in members:
        check_logits(logits)
    return Judged(vote(members), members, parts[0][1], sum(seconds for _, _, seconds in parts))


def _judge_member(
    classifier: Classifier, defense: Defense | None, images: Tensor, seed: int
) -> tuple[Tensor, Tensor, float]:
    images = images.to(classifier.device)
    if defense is None:
        return classifier(images), images, 0.0
    began = time.perf_counter()
    defended = defense(images)
    _finish(images)
    seconds = time.perf_counter() - began
    if defense.is_randomized():
        return Guarded(classifier, defense, seed=seed)(images), defended, seconds
    return classifier(defended), defended, seconds


def _finish(images: Tensor) -> None:
    """Wait for what the device of the images still computes."""
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


# Crafting


def attacked_classifier(
    system: System | None, load: Loader, backward: Backward = "average", *, seed: int = 0
) -> Classifier:
    """What an attacker attacks: the recipe's own classifier or, knowing a system, the whole system."""
    return load("") if system is None else system.classifier(load, backward, seed=seed)


@dataclass(frozen=True)
class Crafted:
    """What an attack made of a batch.

    Attributes:
        images: N×C×H×W, as the attack left them; an image of the target's own class is left as it was.
        targets: the class that each image was pushed toward, −1 for none; int64 N.
        seconds: what the attack took.
        result: the attack's own result, of the images that were attacked; None where there was none.
    """

    images: Tensor
    targets: Tensor
    seconds: float
    result: AttackResult | None

    @property
    def stopped(self) -> bool:
        """Whether the attack was stopped early."""
        return self.result is not None and self.result.stopped


def craft_batch(
    attack: Attack,
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    target: int | None,
    *,
    seed: int,
    universal: Universal | None = None,
    on_progress: OnProgress | None = None,
) -> Crafted:
    """Attack images N×C×H×W in [0, 1] with labels N. An image has the same randomness in every batch.

    Args:
        target: the class that all are pushed toward; None for an untargeted attack.
        universal: what the training of a universal attack made; it is only applied here.
        on_progress: as in `Attack`.

    Raises:
        InvalidInput: the attack does not fit the images.
    """
    clock = Stopwatch()
    if attack.universal:
        result = apply_universal(attack, classifier, universal or Universal(), images, labels, target, seed)
        return Crafted(result.images, torch.full_like(labels, -1 if target is None else target), clock.seconds, result)
    own = torch.zeros_like(labels, dtype=torch.bool) if target is None else labels == target
    if bool(own.all()):
        return Crafted(images, torch.full_like(labels, -1), clock.seconds, None)
    goal = Criterion() if target is None else Criterion(torch.full_like(labels[~own], target))
    generator = torch.Generator().manual_seed(seed)
    result = attack(classifier, images[~own], labels[~own], goal, generator, on_progress=clock.beside(on_progress))
    _finish(images)
    seconds = clock.seconds
    adversarial, targets = images.clone(), torch.full_like(labels, -1)
    adversarial[~own] = result.images.to(images)
    if result.targets is not None:
        targets[~own] = result.targets.to(labels)
    return Crafted(adversarial, targets, seconds, result)
