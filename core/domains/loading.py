"""Images of a data set as tensors that fit a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core import images as image_files
from core.domains.base import Domain
from core.models.classifier import Classifier


def load_images(domain: Domain, split: str, numbers: Sequence[int], classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Those images of a split, as the classifier takes them (float32 N×C×H×W), and their labels (int64 N)."""
    fitted = [
        image_files.to_tensor(
            image_files.fit(domain.pixels(split, int(n)), classifier.size, classifier.channels, "crop")
        )
        for n in numbers
    ]
    return torch.cat(fitted), torch.from_numpy(domain.labels(split)[np.asarray(numbers)])
