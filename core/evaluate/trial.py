"""A detector on trial: clean pictures, pictures attacked by somebody who does not know it, and by somebody who does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.attacks import Attack, AttackResult, Goal, Step
from core.evaluate.detection import Detector, Watched
from core.evaluate.share import Share
from core.images import quantise

Values = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]
Watch = Callable[[int, int], bool | None]  # pictures done, and in all; True stops


@dataclass(frozen=True)
class Judged:
    """A batch of pictures as classifier and detector see them; arrays of length N."""

    score: Values
    predicted: Classes
    restored: Classes

    def joined(self, other: Judged) -> Judged:
        """Both, one behind the other."""
        return Judged(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__dataclass_fields__))


@dataclass(frozen=True)
class Trial:
    """One attack on pictures that were recognised, by both attackers.

    Attributes:
        labels: of the pictures. clean, oblivious, adaptive: the same pictures as they are, attacked without a thought of the
            detector, and attacked so that it stays silent too.
        threshold: at which the adaptive attacker aimed, and above which a picture is flagged unless one says otherwise.
        stopped: whether a watcher stopped it before all pictures were done.
    """

    labels: Classes
    clean: Judged
    oblivious: Judged
    adaptive: Judged
    threshold: float
    stopped: bool = False

    def fooled(self, attacker: Judged) -> npt.NDArray[np.bool_]:
        """Which pictures that attacker made the classifier miss."""
        return np.not_equal(attacker.predicted, self.labels)

    def true_positive(self, attacker: Judged, threshold: float) -> Share:
        """Of the pictures that fool the classifier, those that are flagged."""
        fooled = self.fooled(attacker)
        return Share(int((attacker.score[fooled] > threshold).sum()), int(fooled.sum()))

    def true_negative(self, attacker: Judged, threshold: float) -> Share:
        """Of the clean forms of the pictures that fool the classifier, those that are not flagged: as many as attacked ones."""
        fooled = self.fooled(attacker)
        return Share(int((self.clean.score[fooled] <= threshold).sum()), int(fooled.sum()))

    def recovered(self, attacker: Judged, threshold: float) -> Share:
        """Of the pictures that fool the classifier, those that are flagged and given their true class back."""
        fooled = self.fooled(attacker)
        back = (attacker.score > threshold) & (attacker.restored == self.labels)
        return Share(int(back[fooled].sum()), int(fooled.sum()))

    def unnoticed(self, attacker: Judged, threshold: float) -> Share:
        """Of all pictures, those that fool the classifier and are not flagged: what the attacker wanted."""
        won = self.fooled(attacker) & (attacker.score <= threshold)
        return Share(int(won.sum()), len(won))


@torch.no_grad()
def judge(detector: Detector, images: Tensor) -> Judged:
    """Pictures N×C×H×W in [0, 1] as 8-bit files, in the eyes of the classifier and of the detector."""
    images = quantise(images).to(detector.classifier.device)
    return Judged(
        score=detector.score(images).float().cpu().numpy(),
        predicted=detector.classifier(images).argmax(1).cpu().numpy(),
        restored=detector.restored(images).cpu().numpy(),
    )


def attack_both(
    detector: Detector,
    threshold: float,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    seed: int,
    watch: Callable[[Step], bool | None] | None = None,
) -> AttackResult:
    """The attack of somebody who wants the classifier to err and the detector to be silent.

    Toward the likeliest other class: to be away from the true one is not enough where one of the ways to be away is to be flagged.
    """
    with torch.no_grad():
        logits = detector.classifier(images).cpu()
    targets = logits.scatter(1, labels.cpu().long()[:, None], -torch.inf).argmax(1)
    generator = torch.Generator().manual_seed(seed)
    return attack(Watched(detector, threshold), images, labels, Goal(targets), generator, watch=watch)


def on_trial(
    detector: Detector,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    *,
    threshold: float,
    seed: int = 0,
    batch: int = 25,
    watch: Watch | None = None,
) -> Trial | None:
    """Attack those of the pictures N×C×H×W in [0, 1] that the classifier knows, with labels N, twice.

    None where `watch` stopped it before the first batch was done; what was done until then else.
    """
    kept: list[tuple[Judged, Judged, Judged, Classes]] = []
    total, stopped = 2 * len(images), False
    for start in range(0, len(images), batch):
        done = 2 * start

        def told(_step: Step | None = None) -> bool:
            return watch is not None and bool(watch(done, total))  # noqa: B023

        if told():
            stopped = True
            break
        x, y = images[start : start + batch], labels[start : start + batch]
        clean = judge(detector, x)
        known = torch.from_numpy(clean.predicted == y.numpy())
        if not bool(known.any()):
            continue
        x, y = x[known].to(detector.classifier.device), y[known]
        plain = attack(detector.classifier, x, y, generator=torch.Generator().manual_seed(seed), watch=told)
        done += len(x)
        knowing = plain if plain.stopped else attack_both(detector, threshold, attack, x, y, seed, told)
        if knowing.stopped:
            stopped = True
            break  # what was done of this batch is not whole
        kept.append((judge(detector, x), judge(detector, plain.images), judge(detector, knowing.images), y.numpy()))
    if not kept:
        return None
    clean, oblivious, adaptive = kept[0][:3]
    for parts in kept[1:]:
        clean, oblivious, adaptive = clean.joined(parts[0]), oblivious.joined(parts[1]), adaptive.joined(parts[2])
    return Trial(np.concatenate([parts[3] for parts in kept]), clean, oblivious, adaptive, threshold, stopped)
