"""Warnings that teach: signs that a number says less than it seems to (Croce and Hein 2020, section 4; Carlini et al. 2019).

Each function looks at what attacks did and returns a diagnostic or None. A diagnostic says why it is shown, what that means and what
to do; a screen and a table show the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import nan

import torch
from torch import Tensor

from core.attacks.base import Attack, Criterion
from core.attacks.losses import loss_and_grad
from core.defenses.base import Defense
from core.inputs import InvalidInput, owned
from core.models.classifier import Classifier

VANISHING = 1e-8  # a gradient whose root mean square is below this is round-off


@dataclass(frozen=True)
class Diagnostic:
    """One warning."""

    name: str
    title: str
    condition: str
    means: str
    do: str


@dataclass(frozen=True)
class AttackSummary:
    """One attack on a set of images: how many of how many it fooled, and how many of those only before 8-bit rounding."""

    attack: Attack
    fooled: int
    count: int
    flipped: int = 0

    @property
    def share(self) -> float:
        """The share that was fooled; NaN of no images, which raises no warning."""
        return self.fooled / self.count if self.count else nan

    @property
    def eps(self) -> float | None:
        """The budget; None for an attack without one."""
        value = getattr(self.attack, "eps", None)
        return None if value is None else float(value)

    @property
    def norm(self) -> str:
        return str(getattr(self.attack, "norm", "linf"))

    @property
    def iterated(self) -> bool:
        """Whether the attack follows the gradient in many steps."""
        return self.attack.threat == "white_box" and not self.attack.single_step

    def comparable(self, other: AttackSummary) -> bool:
        """Whether the two had the same budget on as many images."""
        same = self.eps is not None and other.eps is not None and abs(self.eps - other.eps) < 1e-9
        return same and self.norm == other.norm and self.count == other.count


@dataclass(frozen=True)
class GradientStats:
    """The gradient on some images: the share of values that are exactly zero, and the smallest image's root mean square."""

    zero: float
    smallest: float


def gradient_stats(classifier: Classifier, images: Tensor, labels: Tensor) -> GradientStats:
    """What a gradient attacker finds at images N×C×H×W with labels N, before the first step."""
    device = classifier.device
    images, labels = owned(images, device, torch.float32), owned(labels, device, torch.int64)
    with torch.inference_mode(False):
        _, gradient, _ = loss_and_grad(classifier.surrogate, images, labels, Criterion())
    lengths = gradient.flatten(1).square().mean(1).sqrt()
    return GradientStats(float((gradient == 0).float().mean()), float(lengths.min()))


def no_gradient(stats: GradientStats) -> Diagnostic | None:
    if stats.smallest >= VANISHING and stats.zero < 0.5:
        return None
    return Diagnostic(
        "no-gradient",
        "The gradient is zero or nearly so",
        f"{100 * stats.zero:.0f} % of the gradient's values are exactly zero; its root mean square is {stats.smallest:.1e}.",
        "Attacks that follow the gradient stand still, and their failure shows nothing about robustness: a saturated softmax or "
        "a step that rounds hides the gradient.",
        "Attack the margin instead of the cross-entropy, use BPDA where a defense rounds, and try Square, which needs no gradient.",
    )


def one_step_beats_many(summaries: Sequence[AttackSummary]) -> Diagnostic | None:
    for one_step, many_steps in permutations(summaries, 2):
        single = one_step.attack.threat == "white_box" and one_step.attack.single_step
        if single and many_steps.iterated and one_step.comparable(many_steps) and one_step.share > many_steps.share:
            return Diagnostic(
                "one-step",
                "One step did better than many",
                f"{_did(one_step)}, {_did(many_steps)} with the same budget.",
                "An iterated attack can do all that one step can. If it does less, it is caught in a flat or broken gradient, or "
                "its step size is wrong.",
                "Try more steps, a random start and other step sizes, or APGD, which finds its own.",
            )
    return None


def black_box_beats_white_box(summaries: Sequence[AttackSummary]) -> Diagnostic | None:
    for blind, seeing in permutations(summaries, 2):
        if (
            blind.attack.threat == "score_based"
            and seeing.iterated
            and blind.comparable(seeing)
            and blind.share > seeing.share
        ):
            return Diagnostic(
                "black-box",
                "An attacker without gradients did better than one with",
                f"{_did(blind)}, {_did(seeing)} with the same budget.",
                "Who sees the gradient knows more and must not do worse; the gradient is masked.",
                "Do not report the white-box number as robustness. Find out what hides the gradient; attack adaptively.",
            )
    return None


def larger_eps_is_weaker(summaries: Sequence[AttackSummary]) -> Diagnostic | None:
    for small, large in permutations(summaries, 2):
        same = type(small.attack) is type(large.attack) and (small.norm, small.count) == (large.norm, large.count)
        if same and (small.eps or 0) < (large.eps or 0) and small.share > large.share:
            return Diagnostic(
                "larger-eps",
                "A larger eps did worse",
                f"{_did(small)} at eps {_eps(small)}, {large.fooled} at {_eps(large)}.",
                "The larger ball holds the smaller one, so nothing that fooled before is lost; the search is not finding it.",
                "Give the larger eps more steps or a smaller step size.",
            )
    return None


def unbounded_falls_short(summaries: Sequence[AttackSummary]) -> Diagnostic | None:
    for summary in summaries:
        if (summary.attack.minimal_norm or (summary.eps or 0) >= 1) and 0 < summary.count != summary.fooled:
            return Diagnostic(
                "unbounded",
                "An attack without a budget did not reach every image",
                f"{_did(summary)}.",
                "Whoever may change everything can turn any image into any other. Less than all means that the attack, not "
                "the classifier, is at its limit.",
                "Give it more iterations or more searches; where that does not help, look for a masked gradient.",
            )
    return None


def chance_without_averaging(defense: Defense, backward: str) -> Diagnostic | None:
    if not defense.is_randomized() or backward in ("average", "none"):
        return None
    return Diagnostic(
        "no-averaging",
        "A random defense was attacked on a single draw",
        f"{defense.title} draws anew for every image, and the attacker looked at one draw.",
        "The attack fits that draw and fails on the next; it says nothing about an attacker who averages.",
        "Attack the average over the defense's randomness (EOT): backward='average'.",
    )


def lost_to_quantization(summaries: Sequence[AttackSummary]) -> Diagnostic | None:
    for summary in summaries:
        if summary.flipped:
            return Diagnostic(
                "flips-back",
                "It fooled the classifier only before 8-bit rounding",
                f"{summary.attack.title}: {summary.flipped} of {summary.count} predictions flip back in the file that is saved.",
                "The change is smaller than a gray level, so no image file can hold it. Papers that judge before rounding count "
                "it as a success; Mirage does not.",
                "Ask for a margin (confidence), a larger eps, or an attack that rounds on its way.",
            )
    return None


def run_diagnostics(
    summaries: Sequence[AttackSummary],
    gradient: GradientStats | None = None,
    defense: Defense | None = None,
    backward: str = "none",
) -> tuple[Diagnostic, ...]:
    """Every flag that these outcomes raise, in the order of what to look at first.

    Raises:
        InvalidInput: an attack fooled more images than it had.
    """
    if any(not 0 <= summary.fooled <= summary.count for summary in summaries):
        raise InvalidInput("An attack cannot have fooled more images than it had.")
    flags = [
        None if gradient is None else no_gradient(gradient),
        None if defense is None else chance_without_averaging(defense, backward),
        black_box_beats_white_box(summaries),
        one_step_beats_many(summaries),
        larger_eps_is_weaker(summaries),
        unbounded_falls_short(summaries),
        lost_to_quantization(summaries),
    ]
    return tuple(flag for flag in flags if flag is not None)


def _eps(summary: AttackSummary) -> str:
    """The budget: of values in n/255, of the L2 norm as a plain number."""
    eps = summary.eps or 0
    return f"{eps:.3g}" if summary.norm == "l2" else f"{eps * 255:.3g}/255"


def _did(summary: AttackSummary) -> str:
    return f"{summary.attack.title} fooled {summary.fooled} of {summary.count}"
