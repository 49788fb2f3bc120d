"""What Detect says of the image at hand and of many."""

from __future__ import annotations

from app.text import before_words, count_of, plural
from core.evaluate.detector_benchmark import DetectorBenchmark
from core.evaluate.tables import Row
from core.recipe import Prediction


def detect_verdict(
    detector: str,
    flags: tuple[bool, bool],
    seen: tuple[Prediction, Prediction],
    classes: tuple[str, ...],
    label: int,
    known: bool = True,
) -> str:
    """What the detector says of the clean and of the attacked image.

    Args:
        flags: whether it flags the clean image, and the attacked one.
        seen: what the classifier sees in both.
        label: the true class; where it is not `known`, the prediction of the clean image.
    """
    clean, attacked = flags
    if seen[0].label != label:
        which = {(True, True): "flags both images", (False, False): "passes both images"}.get(
            flags, "flags the clean image only" if clean else "flags the attacked image only"
        )
        return f"{before_words(seen[0], classes, label, known)} {detector} {which}."
    if seen[1].label == label:
        words = f"The attack did not fool the classifier, and {detector} {'flags' if attacked else 'passes'} the attacked image"
        return f"{words}{', and it flags the clean one' if clean else ''}."
    if attacked:
        return f"{detector} flags the attacked image" + (
            ", but the clean one too." if clean else " and passes the clean one."
        )
    return f"{detector} does not notice the attack" + ("; it flags the clean image instead." if clean else ".")


def trial_verdict(detector: str, trial: DetectorBenchmark, threshold: float) -> str:
    """How often the detector is right, of the attacker who does not know it and of the one who does."""
    total = len(trial.labels)
    begin = f"Stopped after {plural(total, 'image')}. " if trial.stopped else ""
    known, plain = (trial.true_positive(side, threshold) for side in (trial.adaptive, trial.oblivious))
    if not known.count and not plain.count:
        return f"{begin}The attack fooled the classifier on none of {plural(total, 'image')}."
    passes = trial.evasion_rate(trial.adaptive, threshold)
    if plain.count:
        words = f"{detector} flags {count_of(plain.successes, plain.count)} images that fool the classifier"
        if not known.count:
            return f"{begin}{words}; an attacker who knows it fools the classifier on none."
        words += f". Known to the attacker, {count_of(known.successes, known.count)}"
    else:
        words = (
            "An attacker who does not know the detector fools the classifier on no image. "
            f"Known to the attacker, {detector} flags {count_of(known.successes, known.count)}"
        )
    return f"{begin}{words}: {passes.successes} of all {passes.count} go unnoticed."


def score_words(score: float, threshold: float) -> tuple[str, str]:
    """A score and its threshold with as many decimals, two or more, as it takes to see that they differ."""
    for digits in range(2, 7):
        words = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
        if words[0] != words[1]:
            return words
    return f"{score:.2f}", f"{threshold:.2f}"


def trial_table(trial: DetectorBenchmark, threshold: float) -> list[Row]:
    """One row an attacker."""
    return [
        {
            "the attacker": name,
            "fooled": f"{int(trial.fooled(side).sum())} of {len(trial.labels)}",
            "true positive": str(trial.true_positive(side, threshold)),
            "true negative": str(trial.true_negative(side, threshold)),
            "class restored": str(trial.recovered(side, threshold)),
            "fooled and unnoticed": str(trial.evasion_rate(side, threshold)),
        }
        for name, side in (("does not know it (oblivious)", trial.oblivious), ("knows it (adaptive)", trial.adaptive))
    ]
