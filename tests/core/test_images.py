"""Images in and out: exact where they can be, one sentence where they cannot."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from core import images
from core.inputs import InvalidInput
from tests import malformed_images

WORKS, REFUSED = malformed_images.works(), malformed_images.refused()
SCENE = malformed_images.scene()
LOSSY = {"plain.jpg", "plain.avif", "cmyk.jpg", "progressive.jpg", "broken exif.jpg", "turned.jpg"}
TURNED = {"turned.jpg", "turned.png", "turned.webp", "turned.tiff"}
RECOLORED = {"plain.gif", "grey.png", "bilevel.png", "palette.png", "palette with a hole.png", "key color.png"}
RECOLORED |= {"animated.gif", "deep grey.png", "deep ramp.png", "deep ramp.tiff", "float.tiff"}
RECOLORED |= {"rgba.png", "rgba.webp", "la.png"}


@pytest.mark.parametrize("name", WORKS)
def test_odd_images_work(name: str) -> None:
    pixels = images.decode(WORKS[name])
    wanted = np.rot90(SCENE, -1) if name in TURNED else SCENE
    assert pixels.dtype == np.uint8 and pixels.shape == wanted.shape and pixels.flags.writeable
    if name in LOSSY:
        assert np.abs(pixels.astype(int) - wanted).mean() < 12
    elif name not in RECOLORED:
        np.testing.assert_array_equal(pixels, wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_no_images_get_one_sentence(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        images.decode(REFUSED[name])
    sentence = str(caught.value)
    assert sentence.endswith(".") and sentence.count(". ") == 0 and "\n" not in sentence and len(sentence) < 160
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("20000x10.png", "This image is 20000 × 10 pixels; Mirage takes images up to 40 megapixels with sides"),
        ("1x1.png", "This image is 1 × 1 pixels"),
        ("smaller bomb.png", "This image is 11000 × 9000 pixels"),
        ("bomb.png", "megapixels"),
        ("truncated.jpeg", "This JPEG file is damaged or incomplete"),
        ("truncated.webp", "This WebP file is damaged or incomplete"),
        ("truncated.avif", "This AVIF file is damaged or incomplete"),
        ("zero bytes.png", "empty"),
        ("drawing.svg", "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"),
        ("phone.heic", "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"),
        ("text.png", "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"),
        ("plain.ppm", "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"),
    ],
)
def test_the_sentence_says_what_is_wrong(name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words.replace("(", r"\(")):
        images.decode(REFUSED[name])


def test_the_file_may_not_be_too_long() -> None:
    with pytest.raises(InvalidInput, match="26 MB; Mirage takes files up to 25 MB"):
        images.decode(WORKS["plain.png"] + bytes(26_000_000))


def test_deep_greys_keep_their_place() -> None:
    assert (images.decode(WORKS["deep grey.png"]) == 128).all()
    for name in ("deep ramp.png", "deep ramp.tiff"):
        ramp = images.decode(WORKS[name])[..., 0].ravel().astype(int)
        assert ramp[0] == 0 and ramp[-1] == 255 and (np.diff(ramp) >= 0).all()
        np.testing.assert_allclose(ramp, np.linspace(0, 255, len(ramp)), atol=1)
    np.testing.assert_allclose(images.decode(WORKS["float.tiff"])[..., 0], SCENE[..., 0], atol=1)


@pytest.mark.parametrize("name", ["rgba.png", "rgba.webp", "la.png"])
def test_transparency_lies_over_white(name: str) -> None:
    pixels = images.decode(WORKS[name])
    assert (pixels[:, :24] == 255).all()
    if not name.startswith("la"):
        np.testing.assert_array_equal(pixels[:, 24:], SCENE[:, 24:])


def test_the_key_color_is_transparent() -> None:
    pixels = images.decode(WORKS["key color.png"])
    assert (pixels[0, 0] == 255).all()
    np.testing.assert_array_equal(pixels[1:], SCENE[1:])


def test_the_first_frame_of_a_film() -> None:
    np.testing.assert_array_equal(images.decode(WORKS["animated.gif"]), images.decode(WORKS["plain.gif"]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, format="PNG", exif=exif)
    data = buffer.getvalue()
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(images.decode(data), np.asarray(upright))


@pytest.mark.parametrize("cut", range(0, 700, 23))
def test_any_beginning_of_a_file_works_or_is_refused(cut: int) -> None:
    for name in ("plain.png", "plain.jpg", "plain.webp", "plain.gif", "plain.tiff", "plain.bmp", "plain.avif"):
        with contextlib.suppress(InvalidInput):
            images.decode(WORKS[name][:cut])


def test_flipped_bytes_work_or_are_refused() -> None:
    generator = np.random.default_rng(0)
    for data in (WORKS["plain.png"], WORKS["plain.jpg"], WORKS["plain.webp"], WORKS["plain.gif"], WORKS["plain.tiff"]):
        for _ in range(60):
            broken = bytearray(data)
            for at in generator.integers(0, min(len(broken), 400), 3):
                broken[at] = generator.integers(256)
            with contextlib.suppress(InvalidInput):
                images.decode(bytes(broken))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 1, 6])
@pytest.mark.parametrize("size", [(33, 21), (1, 1), (1, 90), (300, 299)])
def test_a_png_keeps_every_value(channels: int, level: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    data = images.png(pixels, level)
    np.testing.assert_array_equal(images.from_png(data), pixels)
    if min(size) >= 8:  # what a user may hand in
        np.testing.assert_array_equal(images.decode(data), np.broadcast_to(pixels, (*size, 3)))


@pytest.mark.parametrize("level", [0, 6])
def test_the_values_of_a_map_stand_for_their_palettes_colors(level: int) -> None:
    generator = np.random.default_rng(2)
    palette, values = (generator.integers(0, 256, shape, dtype=np.uint8) for shape in ((256, 3), (40, 31, 1)))
    with Image.open(io.BytesIO(images.png(values, level, palette))) as pil_image:
        assert pil_image.mode == "P"
        np.testing.assert_array_equal(np.asarray(pil_image.convert("RGB")), palette[values[..., 0]])


@pytest.mark.parametrize("name", ["truncated.png", "damaged.png", "bomb.png", "1x1.png", "text.png"])
def test_only_our_own_png(name: str) -> None:
    if name == "1x1.png":
        assert images.from_png(REFUSED[name]).shape == (1, 1, 3)
        return
    with pytest.raises(InvalidInput):
        images.from_png(REFUSED[name])
    with pytest.raises(InvalidInput, match="none that Mirage wrote"):
        images.from_png(WORKS["palette.png"])


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(8, 8), (8, 300), (300, 8), (41, 40), (160, 160), (2000, 1000)])
def test_every_way_of_fitting_gives_the_square(how: images.Fit, channels: int, shape: tuple[int, int]) -> None:
    fitted = images.fit(np.full((*shape, 3), 200, np.uint8), 32, channels, how)
    assert fitted.shape == (32, 32, channels) and fitted.dtype == np.uint8
    assert set(np.unique(fitted)) <= {200, images.MAT}
    if how != "pad":
        assert (fitted == 200).all()


def test_fitting_changes_nothing_that_fits() -> None:
    square = np.ascontiguousarray(SCENE[:, :40])
    ways: tuple[images.Fit, ...] = ("crop", "pad", "stretch")
    for how in ways:
        np.testing.assert_array_equal(images.fit(square, 40, 3, how), square)
    np.testing.assert_array_equal(images.fit(SCENE, 40, 3, "crop"), SCENE[:, 4:44])
    padded = images.fit(SCENE, 48, 3, "pad")
    np.testing.assert_array_equal(padded[4:44], SCENE)
    assert (padded[:4] == images.MAT).all() and (padded[44:] == images.MAT).all()
    grey = square[..., :1]
    np.testing.assert_array_equal(images.fit(grey, 40, 1, "crop"), grey)
    np.testing.assert_array_equal(images.fit(grey, 40, 3, "crop"), np.repeat(grey, 3, axis=2))


def test_an_unknown_way_of_fitting() -> None:
    with pytest.raises(InvalidInput, match="crop, pad and stretch"):
        images.fit(SCENE, 32, 3, "squash")  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_and_back(channels: int) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, axis=2)
    batch = images.to_tensor(pixels)
    assert batch.shape == (1, channels, 16, 16) and batch.dtype == torch.float32
    assert batch.min() == 0 and batch.max() == 1
    np.testing.assert_array_equal(images.to_pixels(batch)[0], pixels)
    np.testing.assert_array_equal(images.to_pixels(batch[0]), pixels)
    assert torch.equal(images.quantise(batch), batch)
    assert not np.shares_memory(batch.numpy(), pixels)


def test_rounding_clips_and_keeps_the_shape() -> None:
    batch = torch.tensor([-0.2, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.3]).view(2, 3, 1, 1).requires_grad_()
    np.testing.assert_array_equal(images.to_pixels(batch).ravel(), [0, 0, 0, 1, 255, 255])
    assert images.to_pixels(torch.zeros(5, 3, 4, 6)).shape == (5, 4, 6, 3)


def test_rounding_agrees_with_the_tensor() -> None:
    batch = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    again = torch.from_numpy(images.to_pixels(batch)).movedim(-1, 1).float() / 255
    assert torch.equal(images.quantise(batch), again)


@pytest.mark.parametrize("kind", ["webp", "gif"])
@pytest.mark.parametrize("shape", [(160, 160, 3), (28, 28, 1)])
def test_a_film_plays_every_frame_in_order(kind: Literal["webp", "gif"], shape: tuple[int, int, int]) -> None:
    frames = [np.full(shape, value, np.uint8) for value in (0, 60, 120, 255)]
    with Image.open(io.BytesIO(images.animation(frames, kind))) as film:
        assert film.n_frames == 4 and min(film.size) >= 160 and film.size[0] % shape[1] == 0  # type: ignore[attr-defined]
        for number, frame in enumerate(frames):
            film.seek(number)
            shown = np.asarray(film.convert("RGB"))
            assert np.abs(shown.astype(int) - int(frame[0, 0, 0])).max() <= (0 if kind == "webp" else 2)


def test_a_film_of_webp_keeps_every_color() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(images.animation([frame, frame[::-1]], "webp"))) as film:
        assert np.array_equal(np.asarray(film.convert("RGB"))[::6, ::6], frame)


def test_a_film_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one image"):
        images.animation([], "gif")


def test_a_page_is_as_wide_as_asked() -> None:
    patch = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    pdf = images.page(patch, 8.0)
    box = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+)", pdf)
    assert pdf.startswith(b"%PDF") and box is not None
    assert [float(side) / 72 * 2.54 for side in box.groups()] == pytest.approx([8.0, 8.0], abs=0.02)
    with pytest.raises(InvalidInput, match=r"0\.5 to 100"):
        images.page(patch, 0)
