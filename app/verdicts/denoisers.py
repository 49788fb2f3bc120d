"""What Denoisers says."""

from __future__ import annotations

from collections.abc import Sequence

from app.text import named, per_cent
from core.analysis.denoising import Denoising


def denoiser_verdict(result: Denoising, classes: Sequence[str], label: int, known: bool) -> str:
    """What the denoiser gave back and what it removed.

    Args:
        label: the true class; where `known` is False, what the classifier says of the clean image.
    """
    after, before = result.adversarial.after.label, result.adversarial.before.label
    if result.removed is None:
        return "The attack changed nothing, so there is no perturbation to remove."
    if after == label:
        verb = "keeps" if before == label else "restores"
        sentence = f"The denoiser {verb} the {named(classes, label, known)}"
    elif after == before:
        sentence = f"The denoiser fails: still {classes[after]}"
    else:
        sentence = f"The denoiser fails: now {classes[after]}"
    if result.removed >= 0:
        size = f"it removes {per_cent(result.removed)} of the perturbation's energy"
    else:
        size = "its image is farther from the clean one than the attacked image is"
    spoiled = ""
    if result.clean.before.label == label != result.clean.after.label:
        spoiled = f" It spoils the clean image, which becomes {classes[result.clean.after.label]}."
    return f"{sentence}; {size}.{spoiled}"
