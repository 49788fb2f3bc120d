"""What Windows says."""

from __future__ import annotations

from math import isfinite

from app.text import a, before_words, named, per_cent
from core.recipe import Prediction


def windows_verdict(
    n_kept: int,
    recall: float | None,
    seen: tuple[Prediction, Prediction, Prediction],
    classes: tuple[str, ...],
    label: int,
    known: bool = True,
) -> str:
    """How many windows stand out in the attacked image, how much of the patch they hold, and what smoothing them gives.

    Args:
        recall: the share of the patch that they hold; None or NaN where there is no known patch.
        seen: what the classifier sees in the clean image, in the attacked one, and in that one smoothed.
        label: the true class; where it is not `known`, the prediction of the clean image.
    """
    clean, attacked, smoothed = seen
    after = a(classes[smoothed.label])
    begin = "" if clean.label == label else before_words(clean, classes, label, known) + " "
    if not n_kept:
        return f"{begin}No window stands out: nothing is smoothed, and the classifier sees {after}."
    words = f"{begin}{_counted(n_kept)} stand{'s' if n_kept == 1 else ''} out"
    them = "it" if n_kept == 1 else "them"
    if recall is not None and isfinite(recall):
        words += f"; {'it holds' if n_kept == 1 else 'they hold'} {per_cent(recall)} of the patch"
    name = named(classes, label, known)
    if clean.label != label:  # there is nothing to keep or to bring back
        return f"{words}. With {them} smoothed, the classifier sees {after}."
    if attacked.label == label:
        if smoothed.label == label:
            return f"{words}. Smoothing {them} keeps the {name}."
        return f"{words}. Smoothing {them} loses the {name}: the classifier sees {after}."
    if smoothed.label == label:
        return f"{words}. Smoothing {them} returns the {name}."
    return f"{words}. Smoothing {them} does not return the {name}: the classifier sees {after}."


def _counted(n_kept: int) -> str:
    small = ("", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
    return f"{small[n_kept] if n_kept < len(small) else n_kept} window{'' if n_kept == 1 else 's'}"
