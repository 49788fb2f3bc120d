"""Bytes to image and image to bytes, safely: everything a user hands in comes through `core.decoding`."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.decoding import KINDS as KINDS
from core.decoding import MAX_BYTES as MAX_BYTES
from core.decoding import Pixels as Pixels
from core.decoding import decode as decode
from core.decoding import decode_png
from core.inputs import InvalidInput, quoted

Fit: TypeAlias = Literal["crop", "pad", "stretch"]

EXTENSIONS = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "avif", "tif", "tiff")
SMALLEST_FILM = 256  # a film's longer side at least, in pixels
MAT = 127  # the grey around a padded image: the middle of the range, so that the border itself says nothing


def fit(pixels: Pixels, size: int, channels: int, how: Fit) -> Pixels:
    """Bring an image to the square that a domain works on.

    Args:
        pixels: uint8 H×W×3 or H×W×1.
        size: side of the result.
        channels: 3 for RGB, 1 for luma (ITU-R 601-2).
        how: `crop` cuts the long side around the center, `pad` puts mid-grey beside the short side, `stretch` neither.

    Returns:
        uint8 size×size×channels; the same values where nothing had to be resampled.

    Raises:
        InvalidInput: an unknown way of fitting.
    """
    pil_image = _pil_image(pixels).convert("L" if channels == 1 else "RGB")
    width, height = pil_image.size
    lanczos = Image.Resampling.LANCZOS
    if how == "stretch":
        fitted = pil_image.resize((size, size), lanczos)
    elif how == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        fitted = pil_image.resize((size, size), lanczos, box=(left, top, left + side, top + side))
    elif how == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        fitted = Image.new(pil_image.mode, (size, size), MAT if channels == 1 else (MAT, MAT, MAT))
        fitted.paste(pil_image.resize(inner, lanczos), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    else:
        raise InvalidInput(f"{quoted(how)} is no way to fit an image; there are crop, pad and stretch.")
    return np.array(fitted, dtype=np.uint8).reshape(size, size, channels)


def to_tensor(pixels: Pixels) -> Tensor:
    """One image as the engine takes it: uint8 H×W×C to float32 1×C×H×W in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(images: Tensor) -> Pixels:
    """Images as an 8-bit file keeps them: float (N×)C×H×W in [0, 1] to uint8 (N×)H×W×C, rounded and clipped."""
    rounded = (images.detach() * 255).round().clamp(0, 255).to(torch.uint8)
    return rounded.movedim(-3, -1).cpu().contiguous().numpy()


def largest_change(eps: float) -> int:
    """The largest change, in gray levels, that an 8-bit file holds of a change of at most `eps` (in [0, 1]).

    Whole gray levels stay; anything between two is rounded, up from the half on, so it can be more than eps.
    """
    return math.floor(round(eps * 255, 6) + 0.5)


def rounding_note(eps: float) -> str:
    """What 8-bit rounding makes of a change of at most `eps`, as a sentence; empty where eps is a whole number of gray levels."""
    levels = round(eps * 255, 6)
    if levels == int(levels):
        return ""
    most = largest_change(eps)
    if not most:
        return f"eps is {levels:.3g} gray levels, less than half of one: the 8-bit image does not change."
    more = "more" if most > levels else "less"
    return f"eps is {levels:.4g} gray levels: the 8-bit image changes by up to {most}/255, {more} than eps."


def quantise(images: Tensor) -> Tensor:
    """The images as an 8-bit file keeps them: rounded to n/255, same shape and type."""
    return (images * 255).round() / 255


def png(pixels: Pixels, level: int = 6, palette: Pixels | None = None) -> bytes:
    """A PNG file of an image, uint8 H×W×3 or H×W×1, every value kept; `level` 0 is not compressed and written at once, 9 is smallest.

    With a `palette` (uint8 256×3) the values of an H×W×1 image stand for its colors.
    """
    if level == 0:
        return _stored(pixels, palette)
    buffer = io.BytesIO()
    pil_image = _pil_image(pixels)
    if palette is not None:
        pil_image = pil_image.convert("P")
        pil_image.putpalette(palette.tobytes())
    # Repeats within a row are all that a quick search finds in a filtered photograph; to look for no others is faster and packs better.
    pil_image.save(buffer, format="PNG", compress_level=level, compress_type=zlib.Z_RLE if level == 1 else -1)
    return buffer.getvalue()


def _stored(pixels: Pixels, palette: Pixels | None) -> bytes:
    """The file without compression, by hand: Pillow, which tries every filter on every row all the same, takes ten times as long."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # a row begins with its filter, which is none
    rows[:, 1:] = pixels.reshape(height, -1)
    color = 3 if palette is not None else 2 if channels == 3 else 0
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.tobytes()))
    chunks += [(b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def from_png(data: bytes) -> Pixels:
    """The image of a PNG file that `png` wrote: uint8 H×W×3 or H×W×1, every value kept.

    Raises:
        InvalidInput: damaged, too large, or no such file.
    """
    return decode_png(data)


def page(pixels: Pixels, width: float) -> bytes:
    """A PDF page that holds the image at `width` centimetres, true size when it is printed without scaling.

    Raises:
        InvalidInput: the width is not between 0.5 and 100 cm.
    """
    if not 0.5 <= width <= 100:
        raise InvalidInput(f"The width is {width:g} cm; choose 0.5 to 100.")
    file = io.BytesIO()
    # Enlarged by a whole factor, so that the printer's own smoothing has little to do.
    factor = max(1, round(width / 2.54 * 300 / pixels.shape[1]))
    large = _pil_image(np.repeat(np.repeat(pixels, factor, 0), factor, 1)).convert("RGB")
    large.save(file, format="PDF", resolution=large.width / (width / 2.54), quality=95)
    return file.getvalue()


def animation(frames: Sequence[Pixels], kind: Literal["gif", "webp"], seconds: float = 4.0) -> bytes:
    """A film of images of one size, shown for about `seconds` and then for one more second on the last: GIF or lossless WebP.

    Small images are enlarged by a whole factor, each pixel a square, so that a viewer does not smooth them.
    """
    if not frames:
        raise InvalidInput("A film needs at least one image.")
    factor = max(1, SMALLEST_FILM // max(frames[0].shape[:2]))
    pil_images = [_pil_image(np.repeat(np.repeat(frame, factor, 0), factor, 1)) for frame in frames]
    each = max(20, min(500, round(1000 * seconds / len(pil_images))))
    durations = [each] * (len(pil_images) - 1) + [each + 1000]
    file = io.BytesIO()
    more = {"lossless": True, "method": 0} if kind == "webp" else {"disposal": 1}
    pil_images[0].convert("RGB").save(
        file,
        format=kind.upper(),
        save_all=True,
        append_images=[pil_image.convert("RGB") for pil_image in pil_images[1:]],
        duration=durations,
        loop=0,
        **more,
    )
    return file.getvalue()


def _pil_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
