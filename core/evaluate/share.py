"""A share of pictures with its count and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `hits` in `count` independent trials (Wilson 1927); (0, 1) when there were none."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = hits / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    # At the ends the exact bound is the end itself; the formula misses it by round-off.
    return 0.0 if hits == 0 else middle - half, 1.0 if hits == count else middle + half


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
