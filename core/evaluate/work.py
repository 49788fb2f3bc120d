"""Computing one unit of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import domains, images
from core.domains import Domain
from core.evaluate.plan import BARE, CLEAN, Plan, Unit, judges
from core.inputs import BadInput
from core.models.classifier import Classifier
from core.recipe.engine import Floats, OnStep, Universal, attacked_classifier, craft_batch, judge_batch, train_universal
from core.systems.system import Loader

Ints = npt.NDArray[np.int32]
Judging = Callable[[str], bool | None]  # what is about to judge, in a few words; True to stop


class Stopped(Exception):
    """A unit was stopped in its middle; nothing of it is kept."""


@dataclass(frozen=True)
class Answer:
    """What a classifier behind one defense said of a batch: classes N, their confidences N, the true class's N; and its price.

    `seconds`: what the defense itself took for the batch.
    """

    predicted: Ints
    confidence: Floats
    true_confidence: Floats
    seconds: float


@dataclass(frozen=True)
class Found:
    """What one unit leads to.

    Attributes:
        answers: by the number of the defense that looked, BARE for none.
        targets: the class that each picture was pushed toward, −1 for none; N.
        seconds: what the attack took.
        scores: by the number of the detector, N each; empty where the attacker knows a defense.
        pictures: the attacked pictures that are kept, uint8 H×W×C, of the first so many of the batch.
        extras: what a universal attack made, by name.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    targets: Ints = field(default_factory=lambda: np.empty(0, np.int32))
    seconds: float = 0.0
    scores: dict[int, Floats] = field(default_factory=dict)
    pictures: tuple[images.Pixels, ...] = ()
    extras: dict[str, Floats] = field(default_factory=dict)


def drawn(plan: Plan, split: str | None = None, count: int | None = None) -> npt.NDArray[np.int64]:
    """The numbers of the plan's pictures in their split, in the order in which they are looked at.

    Raises:
        BadInput: the data set is not here, or holds fewer pictures.
    """
    domain = domains.get(plan.domain)
    return domain.drawn(count or plan.n_images, split or plan.split, plan.seed)


def signature(classifier: Classifier) -> Floats:
    """By which a classifier is known again, on any device: its logits of two fixed pictures, float32 2×K."""
    size = (2, classifier.channels, classifier.size, classifier.size)
    fixed = torch.rand(size, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.0]).view(2, 1, 1, 1)
    with torch.no_grad():
        logits: Floats = classifier(fixed.to(classifier.device)).float().cpu().numpy()
    return logits


def attacked_as(plan: Plan, unit: Unit, load: Loader) -> Classifier:
    """What the unit's attacker attacks: the classifier alone, the system that the attacker knows, or another classifier."""
    if plan.crafted_on:
        return load(plan.crafted_on)
    return attacked_classifier(plan.system(unit.known), load, plan.backward, seed=plan.seed)


def train(plan: Plan, unit: Unit, load: Loader, watch: OnStep | None = None) -> Found:
    """Make a universal attack's one change.

    Args:
        load: gives a classifier by name, '' for the one that the unit is about.

    Raises:
        Stopped: the watcher asked to stop.
    """
    domain, attack = domains.get(plan.domain), plan.built_attacks[unit.attack]
    target = _target(plan, domain)
    if target is None:
        raise BadInput(f"{attack.title} needs a target in an evaluation; choose a class.")
    made = train_universal(attack, attacked_as(plan, unit, load), domain, target, seed=plan.seed, on_step=watch)
    if made.stopped:
        raise Stopped
    return Found(seconds=made.seconds, extras=made.extras)


def compute(
    plan: Plan,
    unit: Unit,
    load: Loader,
    x: Tensor,
    y: Tensor,
    made: dict[str, Floats] | None = None,
    watch: OnStep | None = None,
    judging: Judging | None = None,
) -> Found:
    """Attack a batch x (N×C×H×W in [0, 1]), y (N) and show it, rounded to 8 bits, to all who judge it.

    An image has the same randomness in every batch, attack and defense, and in a recipe of the same seed: so LaVAN has the same
    places and targets in all.

    Args:
        load: gives a classifier by name, '' for the one that the unit is about.
        made: what training a universal attack made.
        watch: sees each step of the attack. judging: is called before each defense and the detector look at the batch.

    Raises:
        Stopped: the watcher asked to stop.
    """
    assert unit.batch is not None
    classifier = load("")
    x, y = x.to(classifier.device), y.to(classifier.device)
    seconds, attacked, targets = 0.0, x, torch.full_like(y, -1)
    if unit.attack != CLEAN:
        crafted = craft_batch(
            plan.built_attacks[unit.attack],
            attacked_as(plan, unit, load),
            x,
            y,
            _target(plan, domains.get(plan.domain)),
            seed=plan.seed,
            universal=Universal(made or {}),
            on_step=watch,
        )
        if crafted.stopped:
            raise Stopped
        attacked, targets, seconds = crafted.images, crafted.targets, crafted.seconds
    attacked = images.quantise(attacked)
    answers: dict[int, Answer] = {}
    for number in judges(plan, unit):
        _ask_before(judging, plan.defense_title(number))
        judged = judge_batch(plan.system(number), load, attacked, seed=plan.seed)
        answers[number] = _answer(judged.logits, y, judged.seconds)
    scores: dict[int, Floats] = {}
    for number, detector in enumerate(plan.built_detectors if unit.known == BARE else ()):
        _ask_before(judging, detector.title)
        with torch.no_grad():
            scores[number] = detector.around(classifier).score(attacked).float().cpu().numpy()
    first = unit.batch * plan.batch
    kept = images.to_pixels(attacked[: max(0, plan.save_images - first)]) if unit.attack != CLEAN else ()
    return Found(
        answers=answers,
        targets=targets.cpu().numpy().astype(np.int32),
        seconds=seconds,
        scores=scores,
        pictures=tuple(kept),
    )


def _ask_before(judging: Judging | None, title: str) -> None:
    if judging is not None and judging(title):
        raise Stopped


def _target(plan: Plan, domain: Domain) -> int | None:
    return domain.class_number(plan.target) if plan.target else None


def _answer(logits: Tensor, y: Tensor, seconds: float) -> Answer:
    """What a system says of a batch with labels N, from its logits N×K."""
    shares = logits.float().softmax(1)
    top = shares.max(1)
    return Answer(
        top.indices.cpu().numpy().astype(np.int32),
        top.values.cpu().numpy(),
        shares.gather(1, y[:, None])[:, 0].cpu().numpy(),
        seconds,
    )
