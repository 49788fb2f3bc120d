"""What Masks says."""

from __future__ import annotations

from app.text import a, before_words
from core.recipe import Prediction


def masks_verdict(
    clean: Prediction,
    attacked: Prediction,
    read: tuple[int, int],
    classes: tuple[str, ...],
    label: int,
    known: bool = True,
) -> str:
    """What the classifier sees in the attacked image, and what its attention mask says.

    Args:
        clean, attacked: what the classifier sees in both images.
        read: the classes that are read in their masks.
        label: the true class; where it is not `known`, the prediction of the clean image.
    """
    seen, reads = a(classes[attacked.label]), a(classes[read[1]])
    agree = attacked.label == read[1]
    if known and clean.label != label:
        begin = f"{before_words(clean, classes, label, known)} In the attacked image it sees {seen}"
    elif attacked.label == clean.label:
        begin = f"The attack did not fool the classifier: it sees {seen}"
        if agree:
            return f"{begin}, and the mask reads as {reads}."
        return f"{begin}, but the mask reads as {reads}: they disagree, so the image is flagged."
    else:
        begin = f"The classifier sees {seen}"
    if agree:
        return f"{begin}, and its attention mask reads as {reads} too: the attack goes unnoticed."
    still = "still reads" if read[1] == read[0] else "reads"
    truth = ", which it is" if known and read[1] == label else ""
    return f"{begin}; its attention mask {still} as {reads}{truth}: they disagree, so the image is flagged."
