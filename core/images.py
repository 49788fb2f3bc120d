"""Bytes to picture and picture to bytes, safely: everything a visitor hands in comes through `decode`."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from core.inputs import BadInput

Pixels: TypeAlias = npt.NDArray[np.uint8]  # H×W×C, C = 3 or 1
Fit: TypeAlias = Literal["crop", "pad", "stretch"]

KINDS = "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"
EXTENSIONS = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "avif", "tif", "tiff")
MAX_BYTES = 25_000_000
MAX_PIXELS = 40_000_000
MIN_SIDE, MAX_SIDE = 8, 10_000
SMALLEST_FILM = 256  # a film's longer side at least, in pixels
MAT = 127  # the grey around a padded picture: the middle of the range, so that the border itself says nothing

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF", "TIFF")  # Pillow tries these decoders and no other
_LIMITS = f"Mirage takes pictures up to {MAX_PIXELS // 10**6} megapixels with sides between {MIN_SIDE} and {MAX_SIDE}."
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes) -> Pixels:
    """Decode an untrusted picture file to 8-bit RGB: upright, first frame, transparency over white.

    Args:
        data: the whole file; its name and extension play no part.

    Returns:
        uint8 H×W×3.

    Raises:
        BadInput: empty, too large, damaged, or no picture of the accepted kinds.
    """
    if not data:
        raise BadInput(f"This file is empty; hand in a {KINDS} picture.")
    if len(data) > MAX_BYTES:
        raise BadInput(f"This file has {len(data) / 1e6:.0f} MB; Mirage takes files up to {MAX_BYTES // 10**6} MB.")
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)  # reads the header only
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"This picture unpacks to more than {MAX_PIXELS // 10**6} megapixels; {_LIMITS}") from None
    except Exception:  # Pillow's plugins raise whatever a broken header makes them raise
        raise BadInput(_no_picture(data)) from None
    width, height = picture.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE or min(width, height) < MIN_SIDE:
        raise BadInput(f"This picture is {width} × {height} pixels; {_LIMITS}")
    try:
        picture.seek(0)
        picture.load()
        rgb = _rgb(_eight_bits(_upright(picture)))
    except Exception:  # likewise for a broken body
        raise BadInput(_damaged(picture.format or "picture")) from None
    return np.array(rgb, dtype=np.uint8)


def fit(pixels: Pixels, size: int, channels: int, how: Fit) -> Pixels:
    """Bring a picture to the square that a domain works on.

    Args:
        pixels: uint8 H×W×3 or H×W×1.
        size: side of the result.
        channels: 3 for RGB, 1 for luma (ITU-R 601-2).
        how: `crop` cuts the long side around the centre, `pad` puts mid-grey beside the short side, `stretch` neither.

    Returns:
        uint8 size×size×channels; the same values where nothing had to be resampled.

    Raises:
        BadInput: an unknown way of fitting.
    """
    picture = _picture(pixels).convert("L" if channels == 1 else "RGB")
    width, height = picture.size
    lanczos = Image.Resampling.LANCZOS
    if how == "stretch":
        fitted = picture.resize((size, size), lanczos)
    elif how == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        fitted = picture.resize((size, size), lanczos, box=(left, top, left + side, top + side))
    elif how == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        fitted = Image.new(picture.mode, (size, size), MAT if channels == 1 else (MAT, MAT, MAT))
        fitted.paste(picture.resize(inner, lanczos), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    else:
        raise BadInput(f"{how!r} is no way to fit a picture; there are crop, pad and stretch.")
    return np.array(fitted, dtype=np.uint8).reshape(size, size, channels)


def to_tensor(pixels: Pixels) -> Tensor:
    """One picture as the engine takes it: uint8 H×W×C to float32 1×C×H×W in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(images: Tensor) -> Pixels:
    """Images as an 8-bit file keeps them: float (N×)C×H×W in [0, 1] to uint8 (N×)H×W×C, rounded and clipped."""
    rounded = (images.detach() * 255).round().clamp(0, 255).to(torch.uint8)
    return rounded.movedim(-3, -1).cpu().contiguous().numpy()


def quantise(images: Tensor) -> Tensor:
    """The images as an 8-bit file keeps them: rounded to n/255, same shape and type."""
    return (images * 255).round() / 255


def png(pixels: Pixels, level: int = 6, palette: Pixels | None = None) -> bytes:
    """A PNG file of a picture, uint8 H×W×3 or H×W×1, every value kept; `level` 0 is not compressed and written at once, 9 is smallest.

    With a `palette` (uint8 256×3) the values of an H×W×1 picture stand for its colours.
    """
    if level == 0:
        return _stored(pixels, palette)
    buffer = io.BytesIO()
    picture = _picture(pixels)
    if palette is not None:
        picture = picture.convert("P")
        picture.putpalette(palette.tobytes())
    # Repeats within a row are all that a quick search finds in a filtered photograph; to look for no others is faster and packs better.
    picture.save(buffer, format="PNG", compress_level=level, compress_type=zlib.Z_RLE if level == 1 else -1)
    return buffer.getvalue()


def _stored(pixels: Pixels, palette: Pixels | None) -> bytes:
    """The file without compression, by hand: Pillow, which tries every filter on every row all the same, takes ten times as long."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # a row begins with its filter, which is none
    rows[:, 1:] = pixels.reshape(height, -1)
    colour = 3 if palette is not None else 2 if channels == 3 else 0
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.tobytes()))
    chunks += [(b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def from_png(data: bytes) -> Pixels:
    """The picture of a PNG file that `png` wrote: uint8 H×W×3 or H×W×1, every value kept.

    Raises:
        BadInput: damaged, too large, or no such file.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG",))
        if picture.mode in ("L", "RGB") and picture.width * picture.height <= MAX_PIXELS:
            pixels = np.array(picture, dtype=np.uint8)
            return pixels[..., None] if pixels.ndim == 2 else pixels
    except Exception:  # as in `decode`
        raise BadInput(_damaged("PNG")) from None
    raise BadInput("This PNG file is none that Mirage wrote.")


def page(pixels: Pixels, width: float) -> bytes:
    """A PDF page that holds the picture at `width` centimetres, true size when it is printed without scaling.

    Raises:
        BadInput: the width is not between 0.5 and 100 cm.
    """
    if not 0.5 <= width <= 100:
        raise BadInput(f"The width is {width:g} cm; choose 0.5 to 100.")
    file = io.BytesIO()
    # Enlarged by a whole factor, so that the printer's own smoothing has little to do.
    factor = max(1, round(width / 2.54 * 300 / pixels.shape[1]))
    large = _picture(np.repeat(np.repeat(pixels, factor, 0), factor, 1)).convert("RGB")
    large.save(file, format="PDF", resolution=large.width / (width / 2.54), quality=95)
    return file.getvalue()


def animation(frames: Sequence[Pixels], kind: Literal["gif", "webp"], seconds: float = 4.0) -> bytes:
    """A film of pictures of one size, shown for about `seconds` and then for one more second on the last: GIF or lossless WebP.

    Small pictures are enlarged by a whole factor, each pixel a square, so that a viewer does not smooth them.
    """
    if not frames:
        raise BadInput("A film needs at least one picture.")
    factor = max(1, SMALLEST_FILM // max(frames[0].shape[:2]))
    pictures = [_picture(np.repeat(np.repeat(frame, factor, 0), factor, 1)) for frame in frames]
    each = max(20, min(500, round(1000 * seconds / len(pictures))))
    durations = [each] * (len(pictures) - 1) + [each + 1000]
    file = io.BytesIO()
    more = {"lossless": True, "method": 0} if kind == "webp" else {"disposal": 1}
    pictures[0].convert("RGB").save(
        file,
        format=kind.upper(),
        save_all=True,
        append_images=[picture.convert("RGB") for picture in pictures[1:]],
        duration=durations,
        loop=0,
        **more,
    )
    return file.getvalue()


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as the camera held it; an EXIF block that cannot be read turns nothing."""
    try:
        turn = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Deeper greys scaled to 8 bits; Pillow's own conversion would clip them to white."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    tops = {"F": [1.0, 255.0, 65535.0], "I": [255.0, 65535.0, 2.0**31 - 1]}.get(picture.mode, [65535.0])
    highest = float(values.max())
    top = next((t for t in tops if highest <= t), highest)
    return Image.fromarray(np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8))


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
        picture = white
    return picture.convert("RGB")


def _damaged(kind: str) -> str:
    return f"This {kind} file is damaged or incomplete; open it elsewhere, save it again and hand that in."


def _no_picture(data: bytes) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"):
        return f"HEIC pictures cannot be read here; save it as a {KINDS} picture."
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head:
        return f"An SVG is a drawing, not pixels; save it as a {KINDS} picture."
    signatures = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
    for signature, kind in signatures.items():
        if data.startswith(signature):
            return _damaged(kind)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _damaged("WebP")
    if brand in (b"avif", b"avis"):
        return _damaged("AVIF")
    return f"This file is no picture that Mirage can read; hand in a {KINDS} picture."
