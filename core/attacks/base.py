"""The contract of an attack: declared parameters in, a stream of steps out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from core.attacks.result import AttackResult
from core.cancellation import Cancelled, check, uncancellable
from core.declaration import Configurable
from core.images import quantise
from core.inputs import InvalidInput, check_fits, check_images, check_labels, check_logits, owned
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.random_streams import AttackLooks, draw_seed
from core.registry import Registry


@dataclass(frozen=True)
class Criterion:
    """What the attacker wants: any other class, or (with targets, int64 N) these classes."""

    targets: Tensor | None = None

    @property
    def targeted(self) -> bool:
        return self.targets is not None

    @staticmethod
    def toward(targets: Tensor) -> Criterion:
        return Criterion(targets)

    def satisfied(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Which of the predictions (logits N×K) serve the attacker: bool N. NaN and infinite logits name no class and never do."""
        predicted = logits.argmax(1)
        served = predicted == self.targets if self.targets is not None else predicted != labels
        return served & logits.isfinite().all(1)

    def select(self, index: Tensor) -> Criterion:
        """The same goal for a part of the batch."""
        return Criterion(self.targets[index]) if self.targets is not None else self


@dataclass(frozen=True)
class Step:
    """Where an attack stands after one iteration, for a live view.

    Attributes:
        number: iterations done; 0 is the starting point.
        total: iterations at most.
        images: the adversarial images now, N×C×H×W.
        logits: what the attacked classifier says of these very images, N×K, before 8-bit rounding.
        loss: the attacker's objective, larger is better for the attacker, N.
        fooled: which images serve the goal, bool N, before 8-bit rounding.
        targets: the class each image is pushed toward, where there is one: int64 N.
        mask: the pixels that a local attack may change, bool N×1×H×W; None where it may change all.
        extras: what else the attack made, by name: 'flow' (N×2×H×W, pixels), 'patch' (C×S×S).
    """

    number: int
    total: int
    images: Tensor
    logits: Tensor
    loss: Tensor
    fooled: Tensor
    targets: Tensor | None = None
    mask: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)


REGISTRY: Registry[Attack] = Registry("attack")


class Attack(Configurable, ABC):
    """A way to change images so that a classifier errs.

    A subclass declares its parameters as fields, names itself with the class variables of `Configurable`, and writes `iterate`.
    The number of iterations is a field called `iterations` with the alias `steps`, because `steps` is this class's method:
    `PGD(steps=40).steps(...)`. `minimal_norm` is True where the attack has no budget but looks for the smallest change: where it
    fails, the clean image is returned, for half a change means nothing.
    """

    registry: ClassVar[Registry[Any] | None] = REGISTRY

    minimal_norm: ClassVar[bool] = False
    single_step: ClassVar[bool] = False  # over in a moment, so that a screen may run it at every change of a slider
    universal: ClassVar[bool] = False  # makes one change for all images, so it wants to be trained on several
    threat: ClassVar[Literal["white_box", "score_based", "none"]] = (
        "white_box"  # what the attacker sees of the classifier
    )

    @abstractmethod
    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        """Yield the starting point and then every iteration; the last step yielded holds the images returned.

        Everything is checked and on the classifier's device. Gradients are taken with `torch.autograd.grad` on the images,
        nothing is written in place into `images`. Random numbers are drawn from `RandomStreams.of(images, generator)`, a stream
        an image, and moved; drawn from `generator` itself, an image's would depend on the rest of the batch.
        """

    def steps(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Criterion | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Step]:
        """Run the attack one iteration at a time.

        It works under `torch.no_grad()` and `torch.inference_mode()` too; between the iterations the caller's own mode holds.

        Args:
            classifier: the attacked classifier; a `Guarded` one decides by its `backward` what the attacker sees.
            images: N×C×H×W in [0, 1], of any float type; the attack computes in float32. labels: N, of any integer type.
            goal: untargeted unless given.
            generator: seeded with 0 unless given. An image's draws depend on its seed and on the image, not on the batch.

        Raises:
            InvalidInput: the classifier, images, labels or targets are unusable.
        """
        images, labels, goal = _inputs(classifier, images, labels, goal)
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        looks = AttackLooks(draw_seed(generator))
        attacked = classifier.surrogate.in_attack(looks)
        with _gradients():
            iterations = self.iterate(attacked, images, labels, goal, generator)
        return _stream(iterations, looks, attacked, images)

    def __call__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Tensor,
        goal: Criterion | None = None,
        generator: torch.Generator | None = None,
        on_progress: OnProgress | None = None,
    ) -> AttackResult:
        """Run the attack to its end, or until `on_progress` stops it; the result is then that of the last step.

        Inside `core.cancellation.cancellable` it also stops within a step; the result is then that of the step before.

        Args:
            classifier, images, labels, goal, generator: as in `steps`.
            on_progress: called with a `Progress` for every `Step` that `steps` yields; returns True to stop. `text` is the attack's
                title, `step` the `Step`, `done` its number, which some attacks report twice at the end, and `total` the iterations
                at most: 0 where the attack was cancelled before the starting point was known.

        Raises:
            InvalidInput: as in `steps`.
        """
        began = time.perf_counter()
        clean, labels, goal = _inputs(classifier, images, labels, goal)
        home = images.device
        with torch.inference_mode(False):
            first = torch.full((len(clean),), -1, dtype=torch.int64)
        last: Step | None = None
        stopped = False
        reporting = 0.0  # seconds in `on_progress`, which may let others compute; they are not the attack's
        try:
            for last in self.steps(classifier, clean, labels, goal, generator):
                fooled = last.fooled.cpu()
                first[fooled & (first < 0)] = last.number
                if on_progress is not None:
                    paused = time.perf_counter()
                    stopped = bool(on_progress(Progress(self.title, last.number, last.total, step=last)))
                    reporting += time.perf_counter() - paused
                if stopped:
                    break
                check()
        except Cancelled:
            stopped = True
        with torch.inference_mode(False), torch.no_grad(), uncancellable():
            if stopped and last is None:  # before the starting point was known: the clean images are all there is
                last = _unattacked(classifier, clean, labels, goal)
                logits = last.logits
                if on_progress is not None:
                    on_progress(Progress(self.title, last.number, last.total, step=last))
            else:
                assert last is not None, "an attack yields at least its starting point"
                logits = classifier(quantise(last.images))
            success = goal.satisfied(logits, labels)
            if self.minimal_norm and not bool(success.all()):
                succeeded = success.view(-1, 1, 1, 1)
                last = replace(last, images=torch.where(succeeded, last.images, clean))
                logits = classifier(quantise(last.images))
        first[first < 0] = last.number
        return AttackResult(
            images=last.images.to(home),
            success=success.to(home),
            steps=first.to(home),
            logits=logits.to(home),
            targets=None if last.targets is None else last.targets.to(home),
            mask=None if last.mask is None else last.mask.to(home),
            extras={name: value.to(home) for name, value in last.extras.items()},
            iterations=last.number,
            seconds=time.perf_counter() - began - reporting,
            stopped=stopped,
        )


def _unattacked(classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion) -> Step:
    """The clean images as a step of an attack that did not begin."""
    logits = classifier(quantise(images))
    return Step(0, 0, images, logits, torch.zeros_like(logits[:, 0]), goal.satisfied(logits, labels), goal.targets)


def _inputs(
    classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion | None
) -> tuple[Tensor, Tensor, Criterion]:
    """Images (float32, cut to [0, 1]), labels (int64) and goal on the classifier's device, checked.

    Raises:
        InvalidInput: one of them is unusable.
    """
    if not isinstance(classifier, Classifier):
        raise InvalidInput(
            f"An attack needs a Classifier, and this is a {type(classifier).__name__}; "
            "Classifier.wrap makes one of a network of your own."
        )
    classes = len(classifier.classes)
    if classes < 2:
        raise InvalidInput(
            "This classifier has one class, and there is no other to fool it into; an attack needs at least 2."
        )
    check_images(images)
    check_fits(images, classifier.channels, classifier.size)
    check_labels(labels, len(images), classes)
    goal = Criterion() if goal is None else goal
    if not isinstance(goal, Criterion):
        raise InvalidInput(
            "The goal must be an attacks.Criterion; Criterion.toward(targets) makes one of target classes."
        )
    device = classifier.device
    labels = owned(labels, device, torch.int64)
    if goal.targets is not None:
        check_labels(goal.targets, len(images), classes, what="targets")
        targets = owned(goal.targets, device, torch.int64)
        if bool((targets == labels).any()):
            raise InvalidInput("A target equals the true class of its image; choose another class as the target.")
        goal = Criterion(targets)
    with torch.inference_mode(False):
        return owned(images, device, torch.float32).clamp(0, 1), labels, goal


@contextmanager
def _gradients() -> Iterator[None]:
    """Gradients are recorded within, whatever the caller's mode is."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _stream(iterations: Iterator[Step], looks: AttackLooks, classifier: Classifier, images: Tensor) -> Iterator[Step]:
    """The steps, each computed with gradients on, while between them the caller's own mode holds; the looks that follow a step
    draw anew.

    Raises:
        InvalidInput: the classifier's logits of a clean image are not finite.
    """
    step: Step | None = None
    while True:
        with _gradients():
            first, step = step is None, next(iterations, None)
            if step is None:
                return
            if first and not bool(step.logits.isfinite().all()):
                with torch.no_grad():
                    check_logits(classifier(images))
        looks.finished(step.number)
        yield step
