"""Computing one task of an evaluation: attack a batch, judge it behind every defense, score it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import domains
from core import images as image_files
from core.certify import Certified
from core.domains import Domain
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.tasks import Task, judged_defenses
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.engine import attacked_classifier, craft_batch, judge_batch
from core.recipe.universal import Floats, Universal, train_universal
from core.systems.system import Loader

Ints = npt.NDArray[np.int32]


class Stopped(Exception):
    """A task was stopped before its end; nothing of it is stored."""


@dataclass(frozen=True)
class Predictions:
    """What a classifier behind one defense predicts for a batch.

    Attributes:
        predicted: classes, N. confidence: of these, N. true_confidence: of the true classes, N.
        seconds: that the defense took for the batch.
    """

    predicted: Ints
    confidence: Floats
    true_confidence: Floats
    seconds: float


@dataclass(frozen=True)
class TaskResult:
    """What a task computes.

    Attributes:
        predictions: by the number of the defense, NO_DEFENSE for none.
        targets: the attack's target class of each image, −1 for none; N.
        seconds: that the attack took.
        scores: by the number of the detector, N each; empty where the attacker knows a defense.
        images: the attacked images that are saved, uint8 H×W×C, the first ones of the batch.
        extras: what a universal attack learned, by name.
        certified: what a certificate promises of the batch; None for every other task, and where it does not fit the system.
        refusal: why the certificate does not fit, as a sentence.
    """

    predictions: dict[int, Predictions] = field(default_factory=dict)
    targets: Ints = field(default_factory=lambda: np.empty(0, np.int32))
    seconds: float = 0.0
    scores: dict[int, Floats] = field(default_factory=dict)
    images: tuple[image_files.Pixels, ...] = ()
    extras: dict[str, Floats] = field(default_factory=dict)
    certified: Certified | None = None
    refusal: str = ""


def sample_indices(plan: Plan, split: str | None = None, count: int | None = None) -> npt.NDArray[np.int64]:
    """The indices of the plan's images in their split, in the order in which they are evaluated.

    Raises:
        InvalidInput: the data set is not here, or holds fewer images.
    """
    domain = domains.get(plan.domain)
    return domain.sample_indices(count or plan.n_images, split or plan.split, plan.seed)


def fingerprint(classifier: Classifier) -> Floats:
    """By which a classifier is recognized on any device: its logits of two fixed images, float32 2×K."""
    size = (2, classifier.channels, classifier.size, classifier.size)
    fixed = torch.rand(size, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.0]).view(2, 1, 1, 1)
    with torch.no_grad():
        logits: Floats = classifier(fixed.to(classifier.device)).float().cpu().numpy()
    return logits


def attacked_model(plan: Plan, task: Task, load: Loader) -> Classifier:
    """What a task's attack is crafted on: the bare classifier, the system that the attacker knows, or another classifier."""
    if plan.crafted_on:
        return load(plan.crafted_on)
    return attacked_classifier(plan.system(task.known_defense), load, plan.backward, seed=plan.seed)


def train_task(plan: Plan, task: Task, load: Loader, on_progress: OnProgress | None = None) -> TaskResult:
    """Train a universal attack.

    Args:
        load: gives a classifier by name, '' for the task's own.
        on_progress: as in `Attack`.

    Raises:
        Stopped: `on_progress` stopped it.
        InvalidInput: the plan has no target.
    """
    domain, attack = domains.get(plan.domain), plan.built_attacks[task.attack]
    target = _target(plan, domain)
    if target is None:
        raise InvalidInput(f"{attack.title} needs a target in an evaluation; choose a class.")
    model = attacked_model(plan, task, load)
    universal = train_universal(attack, model, domain, target, seed=plan.seed, on_progress=on_progress)
    if universal.stopped:
        raise Stopped
    return TaskResult(seconds=universal.seconds, extras=universal.extras)


def compute_task(
    plan: Plan,
    task: Task,
    load: Loader,
    x: Tensor,
    y: Tensor,
    extras: dict[str, Floats] | None = None,
    on_progress: OnProgress | None = None,
) -> TaskResult:
    """Attack a batch and judge it, rounded to 8 bits, behind every defense of the task; or work out a certificate of it.

    An image has the same random numbers in every batch, attack and defense, and in a recipe of the same seed: LaVAN has the same
    locations and targets in all.

    Args:
        load: gives a classifier by name, '' for the task's own.
        x: images N×C×H×W in [0, 1]. y: labels N.
        extras: what training a universal attack gave.
        on_progress: called by the attack, as in `Attack`, and before each defense and detector with what comes next and how many of
            them are done, of all; returns True to stop.

    Raises:
        Stopped: `on_progress` stopped it.
    """
    assert task.batch is not None
    classifier = load("")
    x, y = x.to(classifier.device), y.to(classifier.device)
    if task.certificate is not None:
        return _certify(plan, task, load, x, y, on_progress)
    seconds, attacked, targets = 0.0, x, torch.full_like(y, -1)
    if task.attack != NO_ATTACK:
        crafted = craft_batch(
            plan.built_attacks[task.attack],
            attacked_model(plan, task, load),
            x,
            y,
            _target(plan, domains.get(plan.domain)),
            seed=plan.seed,
            universal=Universal(extras or {}),
            on_progress=on_progress,
        )
        if crafted.stopped:
            raise Stopped
        attacked, targets, seconds = crafted.images, crafted.targets, crafted.seconds
    attacked = image_files.quantise(attacked)
    predictions: dict[int, Predictions] = {}
    judges = judged_defenses(plan, task)
    detectors = plan.built_detectors if task.known_defense == NO_DEFENSE else ()
    total = len(judges) + len(detectors)
    for done, number in enumerate(judges):
        _announce(on_progress, plan.defense_title(number), done, total)
        judged = judge_batch(plan.system(number), load, attacked, seed=plan.seed)
        predictions[number] = _predictions(judged.logits, y, judged.seconds)
    scores: dict[int, Floats] = {}
    for number, detector in enumerate(detectors):
        _announce(on_progress, detector.title, len(judges) + number, total)
        with torch.no_grad():
            scores[number] = detector.around(classifier).score(attacked).float().cpu().numpy()
    first = task.batch * plan.batch
    saved = image_files.to_pixels(attacked[: max(0, plan.save_images - first)]) if task.attack != NO_ATTACK else ()
    return TaskResult(predictions, targets.cpu().numpy().astype(np.int32), seconds, scores, tuple(saved))


def _certify(plan: Plan, task: Task, load: Loader, x: Tensor, y: Tensor, on_progress: OnProgress | None) -> TaskResult:
    """What the task's certificate promises of a batch of clean images, for the bare classifier or a whole system."""
    assert task.certificate is not None
    certificate = plan.built_certificates[task.certificate]
    system = attacked_classifier(plan.system(task.known_defense), load, seed=plan.seed)
    refusal = certificate.fits(system)
    if refusal:
        return TaskResult(refusal=refusal)
    generator = torch.Generator().manual_seed(plan.seed)
    try:
        certified = certificate(system, x, y, generator=generator, on_progress=on_progress)
    except InvalidInput as error:  # what its parameters or its solver cannot do; the plan's other parts go on
        return TaskResult(refusal=str(error))
    if certified is None:
        raise Stopped
    # A worker of a cluster may have a GPU where whoever stores the result has none.
    values = {name: getattr(certified, name).cpu() for name in ("predicted", "certified", "margin", "radius")}
    return TaskResult(seconds=certified.seconds, certified=replace(certified, **values))


def _announce(on_progress: OnProgress | None, title: str, done: int, total: int) -> None:
    if on_progress is not None and on_progress(Progress(f"judged with {title}", done, total)):
        raise Stopped


def _target(plan: Plan, domain: Domain) -> int | None:
    return domain.class_number(plan.target) if plan.target else None


def _predictions(logits: Tensor, y: Tensor, seconds: float) -> Predictions:
    """The predictions of a batch with labels N, from logits N×K."""
    probabilities = logits.float().softmax(1)
    top = probabilities.max(1)
    return Predictions(
        top.indices.cpu().numpy().astype(np.int32),
        top.values.cpu().numpy(),
        probabilities.gather(1, y[:, None])[:, 0].cpu().numpy(),
        seconds,
    )
