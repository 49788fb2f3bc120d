"""A detector on clean images, on images of an attacker who does not know it, and on those of an adaptive attacker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.attacks import Attack, AttackResult, Criterion
from core.detectors import Detector, DetectorAwareClassifier
from core.evaluate.proportion import Proportion
from core.images import quantise
from core.progress import OnProgress, Progress

Scores = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DetectorScores:
    """What detector and classifier make of images; arrays of length N.

    Attributes:
        score: the detector's. predicted: the classifier's class. corrected_label: the detector's class.
    """

    score: Scores
    predicted: Classes
    corrected_label: Classes

    def joined(self, other: DetectorScores) -> DetectorScores:
        """Both, one after the other."""
        return DetectorScores(
            *(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__dataclass_fields__)
        )


@dataclass(frozen=True)
class DetectorBenchmark:
    """One attack, by both attackers, on the images that the classifier recognizes.

    Attributes:
        labels: N.
        clean, oblivious, adaptive: the same images, not attacked, attacked without regard to the detector, and attacked so that
            it does not flag them.
        threshold: that the adaptive attacker aimed below.
        stopped: whether it was stopped before all images were done.
    """

    labels: Classes
    clean: DetectorScores
    oblivious: DetectorScores
    adaptive: DetectorScores
    threshold: float
    stopped: bool = False

    def fooled(self, attacker: DetectorScores) -> npt.NDArray[np.bool_]:
        """Which images the classifier misclassifies, bool N."""
        return np.not_equal(attacker.predicted, self.labels)

    def true_positive(self, attacker: DetectorScores, threshold: float) -> Proportion:
        """Of the images that fool the classifier, those that are flagged."""
        fooled = self.fooled(attacker)
        return Proportion(int((attacker.score[fooled] > threshold).sum()), int(fooled.sum()))

    def true_negative(self, attacker: DetectorScores, threshold: float) -> Proportion:
        """Of the clean forms of the images that fool the classifier, those that are not flagged."""
        fooled = self.fooled(attacker)
        return Proportion(int((self.clean.score[fooled] <= threshold).sum()), int(fooled.sum()))

    def recovered(self, attacker: DetectorScores, threshold: float) -> Proportion:
        """Of the images that fool the classifier, those that are flagged and whose corrected label is the true class."""
        fooled = self.fooled(attacker)
        corrected = (attacker.score > threshold) & (attacker.corrected_label == self.labels)
        return Proportion(int(corrected[fooled].sum()), int(fooled.sum()))

    def evasion_rate(self, attacker: DetectorScores, threshold: float) -> Proportion:
        """Of all images, those that fool the classifier and are not flagged."""
        evaded = self.fooled(attacker) & (attacker.score <= threshold)
        return Proportion(int(evaded.sum()), len(evaded))


@torch.no_grad()
def score_images(detector: Detector, images: Tensor) -> DetectorScores:
    """What detector and classifier make of images N×C×H×W in [0, 1], rounded to 8 bits."""
    images = quantise(images).to(detector.classifier.device)
    return DetectorScores(
        score=detector.score(images).float().cpu().numpy(),
        predicted=detector.classifier(images).argmax(1).cpu().numpy(),
        corrected_label=detector.corrected_label(images).cpu().numpy(),
    )


def adaptive_attack(
    detector: Detector,
    threshold: float,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    seed: int,
    on_progress: OnProgress | None = None,
) -> AttackResult:
    """The attack on classifier and detector together, toward the likeliest wrong class.

    An untargeted attack does not do: to be flagged is one way not to be in the true class.

    Args:
        images: N×C×H×W in [0, 1]. labels: N. on_progress: as in `Attack`.
    """
    with torch.no_grad():
        logits = detector.classifier(images).cpu()
    targets = logits.scatter(1, labels.cpu().long()[:, None], -torch.inf).argmax(1)
    generator = torch.Generator().manual_seed(seed)
    classifier = DetectorAwareClassifier(detector, threshold)
    return attack(classifier, images, labels, Criterion(targets), generator, on_progress=on_progress)


def benchmark_detector(
    detector: Detector,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    *,
    threshold: float,
    seed: int = 0,
    batch: int = 25,
    on_progress: OnProgress | None = None,
) -> DetectorBenchmark | None:
    """Attack the images that the classifier recognizes twice: without regard to the detector, and adaptively.

    Args:
        images: N×C×H×W in [0, 1]. labels: N.
        threshold: scores above it are flagged.
        batch: images attacked together.

    Returns:
        The scores of all whole batches; None where `on_progress` stopped it before the first one was done.
    """
    batches: list[tuple[DetectorScores, DetectorScores, DetectorScores, Classes]] = []
    total, stopped = 2 * len(images), False
    for start in range(0, len(images), batch):
        done = 2 * start

        def report(_step: Progress | None = None) -> bool:
            progress = Progress(f"{attack.title}, both attackers", done, total)  # noqa: B023
            return on_progress is not None and bool(on_progress(progress))

        if report():
            stopped = True
            break
        x, y = images[start : start + batch], labels[start : start + batch]
        recognized = torch.from_numpy(score_images(detector, x).predicted == y.numpy())
        if not bool(recognized.any()):
            continue
        x, y = x[recognized].to(detector.classifier.device), y[recognized]
        plain = attack(detector.classifier, x, y, generator=torch.Generator().manual_seed(seed), on_progress=report)
        done += len(x)
        adaptive = plain if plain.stopped else adaptive_attack(detector, threshold, attack, x, y, seed, report)
        if adaptive.stopped:
            stopped = True
            break  # this batch is incomplete
        clean, oblivious, knowing = (score_images(detector, z) for z in (x, plain.images, adaptive.images))
        batches.append((clean, oblivious, knowing, y.numpy()))
    if not batches:
        return None
    clean, oblivious, knowing, _ = batches[0]
    for batch_scores in batches[1:]:
        clean, oblivious = clean.joined(batch_scores[0]), oblivious.joined(batch_scores[1])
        knowing = knowing.joined(batch_scores[2])
    labels_done = np.concatenate([batch_scores[3] for batch_scores in batches])
    return DetectorBenchmark(labels_done, clean, oblivious, knowing, threshold, stopped)
