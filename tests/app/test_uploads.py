"""Images that users bring: totals, who holds them, and when they go."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.uploads import Uploads
from core import images
from core.inputs import InvalidInput


def file(number: int, side: int = 10) -> bytes:
    return images.png(np.full((side, side, 3), number, np.uint8))


def test_a_session_holds_its_newest_images_up_to_a_number_and_up_to_bytes() -> None:
    kept = Uploads(session_images=3, grace=0)
    digests = [kept.add(file(n), session=1) for n in range(5)]
    assert list(kept) == digests[2:] and (kept[digests[4]] == 4).all()
    with pytest.raises(InvalidInput):
        kept.add(b"no image", session=1)
    large = Uploads(session_bytes=700, grace=0)  # two images of 300 bytes
    digests = [large.add(file(n), session=1) for n in range(4)]
    assert list(large) == digests[2:]


def test_what_somebody_holds_stays_and_goes_with_the_last() -> None:
    kept = Uploads(grace=0)
    digest = kept.add(file(1), session=1)
    kept.hold(digest, session=2)  # a link was opened
    kept.release(1)
    assert digest in kept and (kept[digest] == 1).all()
    kept.release(2)
    assert digest not in kept


def test_a_reload_finds_its_image() -> None:
    kept = Uploads(grace=60)
    digest = kept.add(file(1), session=1)
    kept.release(1)
    kept.hold(digest, session=2)
    assert digest in kept


def test_the_process_has_a_total_and_what_nobody_holds_goes_first() -> None:
    kept = Uploads(process_bytes=700, grace=60)
    first = kept.add(file(1), session=1)
    second = kept.add(file(2), session=2)
    with pytest.raises(InvalidInput, match="as many images"):
        kept.add(file(3), session=3)
    assert list(kept) == [first, second]
    kept.release(1)
    third = kept.add(file(3), session=3)
    assert list(kept) == [second, third]
    fourth = kept.add(file(4), session=3)  # instead of the session's own
    assert fourth in kept
