"""What Features says."""

from __future__ import annotations

from math import isfinite

from app.text import per_cent


def noise_verdict(line: tuple[float, float], shuffled: tuple[float, float], title: str, attack: str = "") -> str:
    """How a change grows on its way through the classifier, beside the same change in another order.

    Args:
        line: relative noise of the attacked image and of the layer called `title`; NaN where the clean side is all zero.
        shuffled: the same of the shuffled change.
        attack: the attack's title where there are several.
    """
    image, deep = line
    begin = f"{attack}: a" if attack else "A"
    if image == 0:
        return f"{attack or 'The attack'} changed nothing."
    if not isfinite(image):
        return (
            f"The clean image is all zero, so no share of it can be taken. Of {title} the change is {per_cent(deep)}; "
            f"with its pixels shuffled it is {per_cent(shuffled[1])} there."
        )
    if not isfinite(deep):
        return f"{begin} change of {per_cent(image)} of the image: in {title} the clean image gives only zeros, so no share can be taken."
    grows = "grows to" if deep > 1.5 * image else "shrinks to" if deep < image / 1.5 else "is"
    smaller = per_cent(shuffled[0]) != per_cent(image)  # cut to 0 to 255, other pixels may take less of the change
    size = f" ({per_cent(shuffled[0])} of the image after clipping)" if smaller else ""
    return (
        f"{begin} change of {per_cent(image)} of the image {grows} {per_cent(deep)} of {title}; "
        f"the same change with its pixels shuffled{size} is {per_cent(shuffled[1])} there."
    )
