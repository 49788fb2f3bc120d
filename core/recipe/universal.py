"""Universal attacks: one change, trained on many images, is applied to every image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import images as image_files
from core.attacks import Attack, AttackResult, Criterion, Step
from core.attacks.patch import Placing, UniversalPatch, stick
from core.cancellation import uncancellable
from core.domains import Domain
from core.domains.loading import load_images
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import OnProgress
from core.random_streams import RandomStreams
from core.stopwatch import Stopwatch

UNIVERSAL_IMAGES = 400  # that a universal attack is trained on, at most

Floats = npt.NDArray[np.float32]


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


def universal_training_batch(
    domain: Domain, classifier: Classifier, target: int, *, seed: int
) -> tuple[Tensor, Tensor]:
    """The images that a universal attack is trained on, and their labels: none is of the target's class.

    They are training images where the domain has them on this machine, else images of its first split, else its gallery.

    Raises:
        InvalidInput: there is no such image.
    """
    splits = domain.splits()
    if splits:
        split = "train" if "train" in splits else splits[0]
        count = min(UNIVERSAL_IMAGES, domain.count(split))
        images, labels = load_images(domain, split, domain.sample_indices(count, split, seed).tolist(), classifier)
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
        raise InvalidInput(
            f"{domain.title} has no labeled image of another class than the target to train the patch on."
        )
    return images[others], labels[others]


def train_universal(
    attack: Attack,
    classifier: Classifier,
    domain: Domain,
    target: int,
    *,
    seed: int,
    on_progress: OnProgress | None = None,
) -> Universal:
    """Make a universal attack's one change; `on_progress` is called as in `Attack`.

    Raises:
        InvalidInput: there are no images to train it on.
    """
    images, labels = universal_training_batch(domain, classifier, target, seed=seed)
    clock = Stopwatch()
    result = attack(
        classifier,
        images,
        labels,
        Criterion(torch.full_like(labels, target)),
        torch.Generator().manual_seed(seed),
        on_progress=clock.beside(on_progress),
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


def apply_universal(
    attack: Attack,
    classifier: Classifier,
    universal: Universal,
    images: Tensor,
    labels: Tensor,
    target: int | None,
    seed: int,
) -> AttackResult:
    """The universal change on a batch, and what the attacked classifier says of it as 8-bit images."""
    assert isinstance(attack, UniversalPatch)
    if target is None:
        raise InvalidInput(f"{attack.title} needs a target in an evaluation; choose a class.")
    if universal.stopped and not universal.extras:  # it was stopped before it began: the image is as it was
        patch = stencil = torch.zeros(0)
        shown, cover = images, torch.zeros_like(images[:, :1])
    else:
        patch, stencil = _checked_patch(universal, images)
        shown, cover = patched(attack, patch, stencil, images, seed=seed)
    targets = torch.full_like(labels, target)
    with torch.no_grad(), uncancellable():  # what a stopped training found is judged all the same
        logits = classifier(image_files.quantise(shown))
    success = Criterion(targets.to(logits.device)).satisfied(logits, labels.to(logits.device))
    return AttackResult(
        images=shown,
        success=success.to(images.device),
        steps=torch.full_like(labels, universal.iterations),
        logits=logits,
        targets=targets,
        mask=cover > 0,
        extras={"patch": patch, "stencil": stencil} if universal.extras else {},
        iterations=universal.iterations,
        seconds=universal.seconds,
        stopped=universal.stopped,
    )


def _checked_patch(universal: Universal, images: Tensor) -> tuple[Tensor, Tensor]:
    """The patch and its stencil.

    Raises:
        InvalidInput: they are missing or do not fit the images.
    """
    shapes = [universal.extras[name].shape if name in universal.extras else () for name in ("patch", "stencil")]
    side = shapes[0][-1] if shapes[0] else 0
    if shapes != [(images.shape[1], side, side), (1, side, side)] or side > 2 * min(images.shape[2:]):
        raise InvalidInput("The patch of this run is damaged or missing; delete the run and start it again.")
    patch, stencil = (torch.from_numpy(universal.extras[name]) for name in ("patch", "stencil"))
    return patch, stencil


def shown_on(
    step: Step, attack: UniversalPatch, classifier: Classifier, image: Tensor, target: int, *, seed: int
) -> Step:
    """A step of a universal attack's training as seen on one image, 1×C×H×W, that it need not be trained on."""
    shown = image.to(classifier.device)
    cover = torch.zeros_like(shown[:, :1])
    with torch.no_grad():
        if "patch" in step.extras:  # not where the training was stopped before it began: the image is as it was
            shown, cover = patched(attack, step.extras["patch"], step.extras["stencil"], shown, seed=seed)
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
