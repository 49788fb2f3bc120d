"""A proportion of images with its count and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import nan

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


@lru_cache(maxsize=1 << 16)
def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion of `successes` in `count` independent trials (Wilson 1927); (0, 1) of no trials.

    Intervals are cached: the test that scipy computes along with one takes a thousand times as long as the interval, and a screen
    asks for hundreds of them at every change. With the proportion itself as the null hypothesis the test is ten times faster than with 0.5.
    """
    from scipy.stats import binomtest  # here: scipy.stats takes half a second to import

    if count == 0:
        return 0.0, 1.0
    interval = binomtest(successes, count, successes / count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Proportion:
    """`successes` of `count` images."""

    successes: int
    count: int

    @property
    def value(self) -> float:
        """The proportion in [0, 1]; NaN of no images."""
        return self.successes / self.count if self.count else nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval in [0, 1]."""
        return wilson(self.successes, self.count)

    def overlaps(self, other: Proportion) -> bool:
        """Whether the intervals of the two overlap, so that their order is open."""
        return max(self.interval[0], other.interval[0]) <= min(self.interval[1], other.interval[1])

    def __str__(self) -> str:
        if not self.count:
            return "–"
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({self.successes} of {self.count}; {100 * low:.1f}-{100 * high:.1f})"
