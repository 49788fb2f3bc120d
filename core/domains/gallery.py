"""Galleries: one that is made of a data set, and the item that is shown where a recipe names none."""

from __future__ import annotations

import numpy as np
import torch

from core import images
from core.domains.base import Domain, GalleryItem
from core.inputs import InvalidInput
from core.models.classifier import Classifier


def one_of_each_class(domain: Domain, split: str = "test") -> tuple[GalleryItem, ...]:
    """The first image of each class, named by its index in the split."""
    labels = domain.labels(split)
    classes, first = np.unique(labels, return_index=True)
    return tuple(
        GalleryItem(str(index), domain.classes[number], int(number))
        for number, index in zip(classes, first, strict=True)
    )


def default_item(domain: Domain, classifier: Classifier) -> GalleryItem:
    """The first image of the gallery that the classifier gets right; the first of all where it gets none right."""
    items = domain.gallery()
    for item in items:
        if item.label is not None:
            try:
                stored = domain.gallery_pixels(item.name)
            except InvalidInput:  # a damaged file is not the default
                continue
            pixels = images.fit(stored, classifier.size, classifier.channels, "crop")
            with torch.no_grad():
                predicted = int(classifier(images.to_tensor(pixels))[0].argmax())
            if predicted == item.label:
                return item
    return items[0]
