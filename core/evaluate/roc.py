"""How well a score tells attacked pictures from clean ones: the ROC curve, the area under it, and its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from core.evaluate.share import Z
from core.inputs import BadInput

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Roc:
    """A detector's curve over all thresholds: at `thresholds[n]`, a score of at least that counts as attacked."""

    false_positives: Values
    true_positives: Values
    thresholds: Values
    area: float
    low: float  # of the area's 95 % interval
    high: float


def roc(clean: Values, attacked: Values) -> Roc:
    """The curve of scores of clean and of attacked pictures, and its area's interval (DeLong, DeLong and Clarke-Pearson 1988).

    Raises:
        BadInput: one of them is empty.
    """
    if not len(clean) or not len(attacked):
        raise BadInput("A ROC curve needs scores of clean and of attacked pictures; one of them has none.")
    from sklearn.metrics import roc_curve  # here: scikit-learn takes seconds to import

    truth = np.concatenate([np.zeros(len(clean)), np.ones(len(attacked))])
    false, true, thresholds = roc_curve(truth, np.concatenate([clean, attacked]))
    area, low, high = delong(clean, attacked)
    return Roc(false, true, thresholds, area, low, high)


def delong(clean: Values, attacked: Values) -> tuple[float, float, float]:
    """The area under the curve, which is how often an attacked picture scores above a clean one (ties half), and its 95 % interval.

    Its variance is that of the placements: the share of clean scores below each attacked one, and of attacked above each clean one.
    """
    m, n = len(attacked), len(clean)
    together = rankdata(np.concatenate([attacked, clean]))
    above = (together[:m] - rankdata(attacked)) / n
    below = 1 - (together[m:] - rankdata(clean)) / m
    area = float(above.mean())
    variance = sum(float(p.var(ddof=1)) / len(p) for p in (above, below) if len(p) > 1)
    half = Z * float(np.sqrt(variance))
    return area, max(0.0, area - half), min(1.0, area + half)
