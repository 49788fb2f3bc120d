"""Files whose headers claim what would take minutes or gigabytes: refused before a decoder runs, or decoded under limits."""

from __future__ import annotations

import io
import os
import signal

import numpy as np
import pytest
from PIL import Image

from core import images
from core.decoding import headers, pillow, process
from core.inputs import InvalidInput
from tests import malformed_images

WORKS, BOMBS = malformed_images.works(), malformed_images.bombs()
HARMLESS = {"frames.gif", "comments.gif", "tags.jpg", "chunks.png"}  # the first frame is small, and no metadata is read
COSTLY_CLAIMS = set(BOMBS) - HARMLESS
PLAIN = {name for name in WORKS if name.endswith((".png", ".jpg"))} - {"mislabeled.jpg"}


def kind(data: bytes) -> str:
    found = headers.kind_of(data)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(COSTLY_CLAIMS))
def test_a_costly_claim_is_refused_before_any_decoder_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a decoder ran"))
    monkeypatch.setattr(process, "decode", lambda *_: pytest.fail("a decoder ran"))
    with pytest.raises(InvalidInput) as refused:
        images.decode(BOMBS[name])
    sentence = str(refused.value)
    assert sentence.endswith(".") and ". " not in sentence and len(sentence) < 160


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_only_looks_costly_is_decoded(name: str) -> None:
    pixels = images.decode(BOMBS[name])
    assert pixels.shape == (40, 48, 3)
    assert np.abs(pixels.astype(int) - malformed_images.scene()).mean() < 12


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scans.jpg", "26 scans"),
        ("tile.tiff", "64 × 64 pixels in tiles of 65520 × 30000"),
        ("big tile.tiff", "65520 × 30000"),
        ("text.png", "unpack to more than 8 MB"),
        ("profile.png", "unpack to more than 8 MB"),
        ("canvas.webp", "16777216 × 65536|65536 × 65536|16777216"),
        ("claim.bmp", "30000 × 30000"),
        ("claim.avif", "30000 × 30000"),
        ("screen.gif", "65535 × 65535"),
    ],
)
def test_the_sentence_names_the_claim(name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        images.decode(BOMBS[name])


def test_honest_progressive_files_of_any_size_are_taken() -> None:
    """Ten scans of 40 megapixels are what programs write; only the walk over the segments is run here."""
    header = malformed_images.scan_bomb(10)
    claim = headers.check(header, "JPEG")
    assert claim.pixels == 6300 * 6300 and claim.plain is None, "decoded under limits"


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_plain_png_and_jpeg_files_lose_their_metadata_and_no_pixel(name: str) -> None:
    claim = headers.check(WORKS[name], kind(WORKS[name]))
    assert claim.plain is not None and len(claim.plain) <= len(WORKS[name])
    assert b"Exif" not in claim.plain and b"eXIf" not in claim.plain
    here = pillow.read(claim.plain, kind(WORKS[name]), claim.orientation)
    np.testing.assert_array_equal(here, pillow.read(WORKS[name], kind(WORKS[name])))


@pytest.mark.parametrize("name", sorted(WORKS))
def test_the_process_decodes_as_this_one_does(name: str) -> None:
    data = WORKS[name]
    np.testing.assert_array_equal(process.decode(data, kind(data), 48 * 40), pillow.read(data, kind(data)))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux limits the memory of a process")
def test_the_process_takes_no_more_memory_than_the_claim_allows() -> None:
    with pytest.raises(InvalidInput, match=r"too much memory|damaged"):
        process.decode(malformed_images.tile_bomb(), "TIFF", 64 * 64)
    assert process.decode(WORKS["plain.png"], "PNG", 48 * 40).shape == (40, 48, 3)


def test_an_image_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WALL_SECONDS", 0.2)
    with pytest.raises(InvalidInput, match="too much time"):
        process.decode(malformed_images.scan_bomb(2000), "JPEG", 6300 * 6300)
    monkeypatch.undo()
    assert process.decode(WORKS["plain.png"], "PNG", 48 * 40).shape == (40, 48, 3), "the next one has a new process"


def test_a_process_that_somebody_ended_is_replaced() -> None:
    process.decode(WORKS["plain.png"], "PNG", 48 * 40)
    (waiting, *_) = process._pool.waiting
    os.kill(waiting.running.pid, signal.SIGTERM)
    waiting.running.wait()
    assert process.decode(WORKS["plain.gif"], "GIF", 48 * 40).shape == (40, 48, 3)


def test_where_no_process_can_be_started_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_pool", process._Pool())
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    with pytest.raises(InvalidInput, match="cannot be started"):
        images.decode(WORKS["plain.gif"])
    assert images.decode(WORKS["plain.png"]).shape == (40, 48, 3)


def test_an_xmp_orientation_is_left_to_pillow() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    buffer = io.BytesIO()
    Image.fromarray(malformed_images.scene()).save(buffer, "JPEG", quality=95, xmp=xmp)
    assert headers.check(buffer.getvalue(), "JPEG").plain is None
    assert images.decode(buffer.getvalue()).shape == (48, 40, 3)


def test_png_files_of_an_outcome_get_the_same_care() -> None:
    for name in ("text.png", "profile.png"):
        with pytest.raises(InvalidInput, match="unpack to more than 8 MB"):
            images.from_png(BOMBS[name])
    with pytest.raises(InvalidInput, match="30000 × 3000"):
        images.from_png(BOMBS["size.png"])
