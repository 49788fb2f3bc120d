"""What Denoisers says."""

from __future__ import annotations

from collections.abc import Sequence

from app.text import named, per_cent
from core.recipe.denoising import Denoising


def denoiser_verdict(found: Denoising, classes: Sequence[str], label: int, known: bool) -> str:
    """What the denoiser gave back and what it removed.

    Args:
        label: the true class; where `known` is False, what the classifier says of the clean image.
    """
    after, before = found.adversarial.after.label, found.adversarial.before.label
    if found.removed is None:
        return "The attack changed nothing, so there is no perturbation to remove."
    if after == label:
        kept = "keeps" if before == label else "restores"
        sentence = f"The denoiser {kept} {named(classes, label, known)}"
    elif after == before:
        sentence = f"The denoiser fails: still {classes[after]}"
    else:
        sentence = f"The denoiser fails: now {classes[after]}"
    if found.removed >= 0:
        size = f"it removes {per_cent(found.removed)} of the perturbation's energy"
    else:
        size = "its image is farther from the clean one than the attacked image is"
    spoiled = ""
    if found.clean.before.label == label != found.clean.after.label:
        spoiled = f" It spoils the clean image, which becomes {classes[found.clean.after.label]}."
    return f"{sentence}; {size}.{spoiled}"
