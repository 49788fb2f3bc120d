"""How far two images are apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from core.recipe.outcome import Norms


def distances(clean: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """L2 and L∞ alone, in units of [0, 1]."""
    change = (other.astype(np.float64) - clean.astype(np.float64)) / 255
    return float(np.sqrt((change**2).sum())), float(np.abs(change).max())


def norms(clean: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Norms:
    """L0 (pixels changed in any channel), L2, L∞ in units of [0, 1], and SSIM, of two 8-bit images H×W×C."""
    l2, linf = distances(clean, other)
    window = min(7, *clean.shape[:2])
    similarity = structural_similarity(
        clean, other, channel_axis=2, win_size=window - (window % 2 == 0), data_range=255
    )
    return Norms(
        l0=int((clean != other).any(axis=2).sum()),
        l2=l2,
        linf=linf,
        ssim=float(similarity),
    )
