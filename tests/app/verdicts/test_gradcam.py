"""Grad-CAM's headline, captions and table."""

from __future__ import annotations

import numpy as np
import pytest

from app.verdicts.gradcam import ADVICE, cam_verdict, map_words, shift_table
from core.analysis.class_maps import ClassMap
from core.explain.cam_similarity import compare_maps
from tests.app.verdicts.made import CLASSES, CLEAN, MOVED, prediction_of

EMPTY = np.zeros((10, 10), np.float32)
LEFT, RIGHT = EMPTY.copy(), EMPTY.copy()
LEFT[:, :2], RIGHT[:, 8:] = 1, 1
BOTH = np.maximum(LEFT, RIGHT)
PATCH = RIGHT > 0


def shown(
    clean: np.ndarray,
    adversarial: np.ndarray,
    *defended: np.ndarray,
    seen: tuple[int, ...] = (0, 1, 0),
    region: np.ndarray | None = None,
    moved: np.ndarray = MOVED,
) -> tuple[ClassMap, ...]:
    """The images with those maps, each explaining the class that the classifier sees in it."""
    kinds = ("clean", "adversarial", *("defended" for _ in defended))
    return tuple(
        ClassMap(
            f"JPEG {n - 1}" if n > 1 else kind,
            kind,
            CLEAN if n == 0 else moved,
            prediction_of(seen[n]),
            seen[n],
            values,
            clean,
            None if n == 0 else compare_maps(clean, values, region),
        )
        for n, (kind, values) in enumerate(zip(kinds, (clean, adversarial, *defended), strict=True))
    )


@pytest.mark.parametrize(
    ("found", "known", "text"),
    [
        (
            shown(EMPTY, EMPTY),
            True,
            "Both maps are empty: no place of the clean or the adversarial image counts toward cat there and astronaut here. "
            + ADVICE,
        ),
        (
            shown(EMPTY, EMPTY, seen=(0, 0)),
            True,
            f"Both maps are empty: no place of the clean or the adversarial image counts toward cat. {ADVICE}",
        ),
        (
            shown(EMPTY, LEFT),
            True,
            f"The map of the clean image is empty: no place counts toward cat. So the maps cannot be compared. {ADVICE}",
        ),
        (
            shown(LEFT, EMPTY, region=PATCH),
            True,
            "The map of the adversarial image is empty: no place counts toward astronaut. So the maps cannot be compared. "
            + ADVICE,
        ),
        (shown(LEFT, LEFT, moved=CLEAN), True, "The attack changed nothing, so both maps are of the same image."),
        (
            shown(LEFT, LEFT),
            True,
            "The classifier still looks at the same place (the top fifths of the two maps overlap by 100 %), "
            "but the classifier sees an astronaut.",
        ),
        (
            shown(LEFT, LEFT, seen=(0, 0)),
            True,
            "The classifier still looks at the same place (the top fifths of the two maps overlap by 100 %).",
        ),
        (
            shown(LEFT, RIGHT),
            True,
            "The attack moved the classifier's attention: the top fifths of the two maps overlap by 0 %.",
        ),
        (
            shown(LEFT, RIGHT, region=PATCH),
            True,
            "100 % of the classifier's attention lies inside the patch; of the clean image's it was 0 %.",
        ),
        (
            shown(LEFT, RIGHT, BOTH),
            True,
            "The attack moved the classifier's attention: the top fifths of the two maps overlap by 0 %. "
            "Behind JPEG 1 the map shares 50 % with the clean one; without a defense it shares 0 %, and the cat is back.",
        ),
        (
            shown(LEFT, RIGHT, EMPTY, BOTH, seen=(0, 1, 0, 2)),
            True,
            "The attack moved the classifier's attention: the top fifths of the two maps overlap by 0 %. "
            "Behind JPEG 2 the map shares 50 % with the clean one; without a defense it shares 0 %.",
        ),
        (
            shown(LEFT, RIGHT, LEFT, seen=(1, 2, 0)),
            True,
            "The attack moved the classifier's attention: the top fifths of the two maps overlap by 0 %. "
            "Behind JPEG 1 the map shares 100 % with the clean one; without a defense it shares 0 %.",
        ),
        (
            shown(LEFT, RIGHT, LEFT),
            False,
            "The attack moved the classifier's attention: the top fifths of the two maps overlap by 0 %. "
            "Behind JPEG 1 the map shares 100 % with the clean one; without a defense it shares 0 %, "
            "and the clean prediction (a cat) is back.",
        ),
    ],
)
def test_the_headline_is_what_the_maps_show(found: tuple[ClassMap, ...], known: bool, text: str) -> None:
    assert cam_verdict(found, CLASSES, 0, known) == text


def test_an_empty_map_has_dashes_and_says_so() -> None:
    found = shown(LEFT, EMPTY, RIGHT, region=PATCH)
    assert [map_words(one) for one in found] == [
        "",
        "empty: no place counts toward this class",
        "100 % inside the patch",
    ]
    empty, there = shift_table(found, CLASSES)
    assert empty["explains"] == "astronaut" and set(list(empty.values())[2:]) == {"–"}
    assert there["shared"] == "0 %" and there["suppressed"] == "50 %" and there["center moved"] == "8.0 px"
    assert there["clean map inside the patch"] == "0 %" and there["its map inside"] == "100 %"
    assert list(empty) == list(there)
    assert "its map inside" not in shift_table(shown(EMPTY, EMPTY), CLASSES)[0]
