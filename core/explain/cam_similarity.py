"""How far a classifier's attention moved between two class maps, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating]


@dataclass(frozen=True)
class CamSimilarity:
    """From one map to another, both H×W in [0, 1].

    Attributes:
        overlap: of the top fifths of both, what they share of what they cover (intersection over union).
        centroid_shift: pixels between the centers of mass.
        suppressed, shared, emphasized: of everything either map marks, what only the first has, what both have, what only the
            second has; together 1.
        inside: the share of each map that lies in a known region; None without one.
    """

    overlap: float
    centroid_shift: float
    suppressed: float
    shared: float
    emphasized: float
    inside: tuple[float, float] | None


def compare_maps(
    before: Map, after: Map, region: npt.NDArray[np.bool_] | None = None, top: float = 0.2
) -> CamSimilarity | None:
    """Compare two maps H×W; `region`, H×W, is where a patch lies. None where a map is empty: then there is nothing to compare."""
    here, there = center(before), center(after)
    if here is None or there is None:
        return None
    first, second = top_share(before, top), top_share(after, top)
    union = int((first | second).sum())
    either = float(np.maximum(before, after).sum())
    parts = (
        float(np.maximum(before - after, 0).sum()),
        float(np.minimum(before, after).sum()),
        float(np.maximum(after - before, 0).sum()),
    )
    suppressed, shared, emphasized = (part / either for part in parts)
    inside = None if region is None else (share_inside(before, region), share_inside(after, region))
    return CamSimilarity(
        overlap=int((first & second).sum()) / union,
        centroid_shift=float(np.hypot(here[0] - there[0], here[1] - there[1])),
        suppressed=suppressed,
        shared=shared,
        emphasized=emphasized,
        inside=None if inside is None or inside[0] is None or inside[1] is None else (inside[0], inside[1]),
    )


def is_empty(values: Map) -> bool:
    """Whether a map H×W is nowhere positive: it marks no place."""
    return not bool((values > 0).any())


def top_share(values: Map, share: float) -> npt.NDArray[np.bool_]:
    """The highest `share` of the places of a map H×W, of which only those that are positive: a place at zero is not marked."""
    count = min(round(share * values.size), int((values > 0).sum()))
    chosen = np.zeros(values.size, bool)
    chosen[np.argsort(values.ravel(), kind="stable")[::-1][:count]] = True
    return chosen.reshape(values.shape)


def center(values: Map) -> tuple[float, float] | None:
    """The center of mass of a map H×W in pixels, row and column; None where it is empty."""
    total = float(values.sum())
    if total <= 0:
        return None
    rows, columns = np.indices(values.shape)
    return float((rows * values).sum() / total), float((columns * values).sum() / total)


def share_inside(values: Map, region: npt.NDArray[np.bool_]) -> float | None:
    """The share of a map H×W that lies in the region H×W; None where the map is empty."""
    total = float(values.sum())
    return float(values[region].sum()) / total if total > 0 else None
