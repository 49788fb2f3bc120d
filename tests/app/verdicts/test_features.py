"""Features' headline."""

from __future__ import annotations

from math import nan

import pytest

from app.verdicts.features import noise_verdict

LAST = "the last feature maps"


@pytest.mark.parametrize(
    ("line", "shuffled", "attack", "text"),
    [
        (
            (0.04, 0.5),
            (0.04, 0.1),
            "",
            "A change of 4 % of the image grows to 50 % of the last feature maps; "
            "the same change with its pixels shuffled is 10 % there.",
        ),
        (
            (0.4, 0.1),
            (0.2, 0.1),
            "PGD",
            "PGD: a change of 40 % of the image shrinks to 10 % of the last feature maps; "
            "the same change with its pixels shuffled (20 % of the image after clipping) is 10 % there.",
        ),
        (
            (0.4, 0.41),
            (0.4, 0.0),
            "",
            "A change of 40 % of the image is 41 % of the last feature maps; the same change with its pixels shuffled is 0 % there.",
        ),
        ((0.0, 0.0), (0.0, 0.0), "", "The attack changed nothing."),
        ((0.0, 0.0), (0.0, 0.0), "PGD", "PGD changed nothing."),
        (
            (nan, 0.5),
            (nan, 0.1),
            "",
            "The clean image is all zero, so no share of it can be taken. Of the last feature maps the change is 50 %; "
            "with its pixels shuffled it is 10 % there.",
        ),
        (
            (0.04, nan),
            (0.04, nan),
            "",
            "A change of 4 % of the image: in the last feature maps the clean image gives only zeros, so no share can be taken.",
        ),
    ],
)
def test_the_headline_is_what_was_measured(
    line: tuple[float, float], shuffled: tuple[float, float], attack: str, text: str
) -> None:
    assert noise_verdict(line, shuffled, LAST, attack) == text
