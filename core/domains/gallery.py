"""A gallery made of a data set."""

from __future__ import annotations

import numpy as np

from core.domains.base import Domain, GalleryItem


def one_of_each_class(domain: Domain, split: str = "test") -> tuple[GalleryItem, ...]:
    """The first image of each class, named by its index in the split."""
    labels = domain.labels(split)
    classes, first = np.unique(labels, return_index=True)
    return tuple(
        GalleryItem(str(index), domain.classes[number], int(number))
        for number, index in zip(classes, first, strict=True)
    )
