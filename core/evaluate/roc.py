"""How well a score tells attacked images from clean ones: the ROC curve, the area under it, and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import rankdata

from core.evaluate.proportion import Z
from core.inputs import InvalidInput

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
    """The curve of scores of clean and of attacked images, and its area's interval (`delong`).

    Raises:
        InvalidInput: one of them is empty.
    """
    if not len(clean) or not len(attacked):
        raise InvalidInput("A ROC curve needs scores of clean and of attacked images; one of them has none.")
    from sklearn.metrics import roc_curve  # here: scikit-learn takes seconds to import

    truth = np.concatenate([np.zeros(len(clean)), np.ones(len(attacked))])
    false, true, thresholds = roc_curve(truth, np.concatenate([clean, attacked]))
    area, low, high = delong(clean, attacked)
    return Roc(false, true, thresholds, area, low, high)


def delong(clean: Values, attacked: Values) -> tuple[float, float, float]:
    """The area under the ROC curve with its 95 % interval.

    The area is how often an attacked image scores above a clean one (ties count half). The interval is DeLong's on the logit scale (DeLong
    et al. 1988; Qin and Hotilovac 2008), widened to Newcombe's (2006, method 5). DeLong's variance is estimated from the placements
    and vanishes where the scores separate perfectly; Newcombe's depends on the area alone, and its interval has a width
    there too. It assumes scores that spread alike in both classes, which DeLong's does not. With one image in a class only
    Newcombe's is known.

    Args:
        clean: scores of the clean images, N > 0.
        attacked: scores of the attacked images, M > 0.

    Returns:
        The area, the lower and the upper bound, each in [0, 1].
    """
    m, n = len(attacked), len(clean)
    together = rankdata(np.concatenate([attacked, clean]))
    above = (together[:m] - rankdata(attacked)) / n  # the share of clean scores below each attacked one
    below = 1 - (together[m:] - rankdata(clean)) / m  # the share of attacked scores above each clean one
    area = float(above.mean())
    low, high = newcombe(area, m, n)
    if min(m, n) < 2:
        return area, low, high
    variance = float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n
    if 0 < area < 1 and variance > 0:
        half = Z * sqrt(variance) / (area * (1 - area))
        middle = log(area / (1 - area))
        low, high = min(low, float(expit(middle - half))), max(high, float(expit(middle + half)))
    return area, low, high


def newcombe(area: float, m: int, n: int) -> tuple[float, float]:
    """The 95 % interval of an area under the ROC curve of m attacked and n clean images (Newcombe 2006, method 5).

    It holds every area θ that differs from the estimate by at most 1.96 standard errors, where the standard error is that of
    Hanley and McNeil (1982) at θ with (m + n) / 2 images in each class. It does not collapse at 0 and 1.
    """
    pairs = (m + n) / 2 - 1

    def excess(theta: float, estimate: float) -> float:
        spread = 1 + pairs * (1 - theta) / (2 - theta) + pairs * theta / (1 + theta)
        return (estimate - theta) ** 2 - Z * Z * theta * (1 - theta) * spread / (m * n)

    def lower(estimate: float) -> float:
        """The root below the estimate; at an estimate of 1, θ = 1 is a root too, which is not the bound."""
        if estimate <= 0:
            return 0.0
        above = 1 - 1e-9 if estimate == 1 else estimate
        return float(brentq(excess, 0.0, above, args=(estimate,)))

    return lower(area), 1 - lower(1 - area)
