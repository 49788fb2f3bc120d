"""Crafting and judging, the same for a recipe, which is a batch of one, and for an evaluation, which is many batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import images as image_files
from core.attacks import Attack, AttackResult, Goal, Step
from core.attacks.patch import Placing, UniversalPatch, stick
from core.defenses import Defense
from core.domains import Domain
from core.inputs import BadInput, check_logits
from core.models.classifier import Classifier
from core.random_streams import RandomStreams
from core.systems import Backward, Guarded, System
from core.systems.ensemble import vote
from core.systems.system import Loader

UNIVERSAL_IMAGES = 400  # that a universal attack is trained on, at most

Floats = npt.NDArray[np.float32]
OnStep = Callable[[Step], bool | None]  # sees each step of an attack; True stops it


class Stopwatch:
    """Seconds of work without those in which a watcher kept it waiting: others may have had the device meanwhile."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.began, self.waited = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.waited

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens inside is not counted."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - began

    def beside(self, on_step: OnStep | None) -> OnStep | None:
        """The watcher, whose own time is not counted."""
        if on_step is None:
            return None

        def uncounted(step: Step) -> bool | None:
            with self.waiting():
                return on_step(step)

        return uncounted


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
        BadInput: a classifier is missing or does not fit, or the logits are not finite.
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
        """Whether a watcher stopped it early."""
        return self.result is not None and self.result.stopped


@dataclass(frozen=True)
class Universal:
    """What the training of a universal attack made, and what it does on the images that it was trained on.

    Attributes:
        extras: 'patch', C×S×S, and 'stencil', 1×S×S.
        fooled: of how many training images, how many reach the target: (fooled, count).
    """

    extras: dict[str, Floats] = field(default_factory=dict)
    fooled: tuple[int, int] = (0, 0)
    iterations: int = 0
    seconds: float = 0.0
    stopped: bool = False


def craft_batch(
    attack: Attack,
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    target: int | None,
    *,
    seed: int,
    universal: Universal | None = None,
    on_step: OnStep | None = None,
) -> Crafted:
    """Attack images N×C×H×W in [0, 1] with labels N. An image has the same randomness in every batch.

    Args:
        target: the class that all are pushed toward; None for an untargeted attack.
        universal: what the training of a universal attack made; it is only applied here.

    Raises:
        BadInput: the attack does not fit the images.
    """
    clock = Stopwatch()
    if attack.universal:
        result = _apply(attack, classifier, universal or Universal(), images, labels, target, seed)
        return Crafted(result.images, torch.full_like(labels, -1 if target is None else target), clock.seconds, result)
    own = torch.zeros_like(labels, dtype=torch.bool) if target is None else labels == target
    if bool(own.all()):
        return Crafted(images, torch.full_like(labels, -1), clock.seconds, None)
    goal = Goal() if target is None else Goal(torch.full_like(labels[~own], target))
    generator = torch.Generator().manual_seed(seed)
    result = attack(classifier, images[~own], labels[~own], goal, generator, watch=clock.beside(on_step))
    _finish(images)
    seconds = clock.seconds
    made, targets = images.clone(), torch.full_like(labels, -1)
    made[~own] = result.images.to(images)
    if result.targets is not None:
        targets[~own] = result.targets.to(labels)
    return Crafted(made, targets, seconds, result)


# Universal attacks


def load_images(domain: Domain, split: str, numbers: Sequence[int], classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Those images of a split, as the classifier takes them (float32 N×C×H×W), and their labels (int64 N)."""
    fitted = [
        image_files.to_tensor(
            image_files.fit(domain.pixels(split, int(n)), classifier.size, classifier.channels, "crop")
        )
        for n in numbers
    ]
    return torch.cat(fitted), torch.from_numpy(domain.labels(split)[np.asarray(numbers)])


def universal_training_batch(
    domain: Domain, classifier: Classifier, target: int, *, seed: int
) -> tuple[Tensor, Tensor]:
    """The images that a universal attack is trained on, and their labels: none is of the target's class.

    They are training images where the domain has them on this machine, else images of its first split, else its gallery.

    Raises:
        BadInput: there is no such image.
    """
    splits = domain.splits()
    if splits:
        split = "train" if "train" in splits else splits[0]
        count = min(UNIVERSAL_IMAGES, domain.count(split))
        images, labels = load_images(domain, split, domain.drawn(count, split, seed).tolist(), classifier)
    else:
        items = [item for item in domain.gallery() if item.label is not None]
        fitted = [
            image_files.fit(domain.gallery_pixels(item.name), classifier.size, classifier.channels, "crop")
            for item in items
        ]
        images = torch.cat([image_files.to_tensor(pixels) for pixels in fitted])
        labels = torch.tensor([item.label for item in items])
    others = labels != target
    if not bool(others.any()):
        raise BadInput(f"{domain.title} has no labeled image of another class than the target to train the patch on.")
    return images[others], labels[others]


def train_universal(
    attack: Attack,
    classifier: Classifier,
    domain: Domain,
    target: int,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> Universal:
    """Make a universal attack's one change.

    Raises:
        BadInput: there are no images to train it on.
    """
    images, labels = universal_training_batch(domain, classifier, target, seed=seed)
    clock = Stopwatch()
    result = attack(
        classifier,
        images,
        labels,
        Goal(torch.full_like(labels, target)),
        torch.Generator().manual_seed(seed),
        watch=clock.beside(on_step),
    )
    return Universal(
        {name: result.extras[name].cpu().numpy() for name in ("patch", "stencil") if name in result.extras},
        (int(result.success.sum()), len(labels)),
        result.iterations,
        clock.seconds,
        result.stopped,
    )


def patched(
    attack: UniversalPatch, patch: Tensor, stencil: Tensor, images: Tensor, *, seed: int
) -> tuple[Tensor, Tensor]:
    """The universal patch on images N×C×H×W: at the given place, or else turned, scaled and lit at random as in training.

    Returns:
        the images, and how far each pixel is covered: N×1×H×W in [0, 1].
    """
    streams = RandomStreams.of(images, torch.Generator().manual_seed(seed))
    place = attack.final if attack.place == "given" else attack.placings
    height, width = images.shape[2:]
    how = place(patch.shape[-1], height, width, streams)
    moved = Placing(*(value.to(images) for value in (how.row, how.column, how.angle, how.scale, how.brightness)))
    return stick(images, patch.to(images), stencil.to(images), moved)


def _apply(
    attack: Attack,
    classifier: Classifier,
    made: Universal,
    images: Tensor,
    labels: Tensor,
    target: int | None,
    seed: int,
) -> AttackResult:
    """The universal change on a batch, and what the attacked classifier says of it as 8-bit images."""
    assert isinstance(attack, UniversalPatch)
    if target is None:
        raise BadInput(f"{attack.title} needs a target in an evaluation; choose a class.")
    if made.stopped and not made.extras:  # it was stopped before it began: the image is as it was
        patch = stencil = torch.zeros(0)
        shown, cover = images, torch.zeros_like(images[:, :1])
    else:
        patch, stencil = _checked_patch(made, images)
        shown, cover = patched(attack, patch, stencil, images, seed=seed)
    targets = torch.full_like(labels, target)
    with torch.no_grad():
        logits = classifier(image_files.quantise(shown))
    success = Goal(targets.to(logits.device)).reached(logits, labels.to(logits.device))
    return AttackResult(
        images=shown,
        success=success.to(images.device),
        steps=torch.full_like(labels, made.iterations),
        logits=logits,
        targets=targets,
        mask=cover > 0,
        extras={"patch": patch, "stencil": stencil} if made.extras else {},
        iterations=made.iterations,
        seconds=made.seconds,
        stopped=made.stopped,
    )


def _checked_patch(made: Universal, images: Tensor) -> tuple[Tensor, Tensor]:
    """The patch and its stencil.

    Raises:
        BadInput: they are missing or do not fit the images.
    """
    shapes = [made.extras[name].shape if name in made.extras else () for name in ("patch", "stencil")]
    side = shapes[0][-1] if shapes[0] else 0
    if shapes != [(images.shape[1], side, side), (1, side, side)] or side > 2 * min(images.shape[2:]):
        raise BadInput("The patch of this run is damaged or missing; delete the run and start it again.")
    patch, stencil = (torch.from_numpy(made.extras[name]) for name in ("patch", "stencil"))
    return patch, stencil


def shown_on(
    step: Step, attack: UniversalPatch, classifier: Classifier, image: Tensor, target: int, *, seed: int
) -> Step:
    """A step of a universal attack's training as seen on one image, 1×C×H×W, that it need not be trained on."""
    with torch.no_grad():
        shown, cover = patched(
            attack, step.extras["patch"], step.extras["stencil"], image.to(classifier.device), seed=seed
        )
        logits = classifier(shown)
    targets = torch.full((1,), target, device=logits.device)
    return replace(
        step,
        images=shown,
        logits=logits,
        loss=logits.log_softmax(1)[:, target],
        fooled=logits.argmax(1) == targets,
        targets=targets,
        mask=cover > 0,
    )
