"""A share of pictures with its count and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import nan

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


@lru_cache(maxsize=1 << 16)
def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `hits` in `count` independent trials (Wilson 1927); (0, 1) when there were none.

    Intervals are kept: the test that scipy makes on the way takes a thousand times as long as the interval, and a screen asks for
    hundreds of them again at every change. Of the share itself as the null hypothesis the test is ten times faster than of 0.5.
    """
    from scipy.stats import binomtest  # here: scipy.stats takes half a second to import

    if count == 0:
        return 0.0, 1.0
    interval = binomtest(hits, count, hits / count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Share:
    """`hits` of `count` pictures."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """The share in [0, 1]; NaN of no pictures."""
        return self.hits / self.count if self.count else nan

    def __str__(self) -> str:
        if not self.count:
            return "–"
        low, high = wilson(self.hits, self.count)
        return f"{self.value:.1%} ({self.hits} of {self.count}; {100 * low:.1f}-{100 * high:.1f})"
