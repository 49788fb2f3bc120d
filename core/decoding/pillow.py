"""What Pillow makes of an image file: 8-bit RGB. Also the program of the process that decodes what may be dangerous.

It imports nothing of this project, so that the process starts fast and stays small.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import AvifImagePlugin, Image

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Pixels: TypeAlias = npt.NDArray[np.uint8]  # H×W×C, C = 3 or 1

KINDS = "PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"
MAX_PIXELS = 40_000_000
MIN_SIDE, MAX_SIDE = 8, 10_000
LIMITS = f"Mirage takes images up to {MAX_PIXELS // 10**6} megapixels with sides between {MIN_SIDE} and {MAX_SIDE}."

CPU_SECONDS = 8  # for one image, in the process
BASE_MEMORY, MEMORY_PER_PIXEL = (
    300_000_000,
    40,
)  # bytes for one image, in the process; twice what the costliest honest one takes

DECODED, REFUSED, OUT_OF_MEMORY = range(3)  # how an answer of the process begins
REQUEST, ANSWER = struct.Struct(">8sII"), struct.Struct(">BII")

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


class Refused(ValueError):
    """This file is not decoded; the message is one sentence."""


def read(data: bytes, kind: str, orientation: int | None = None) -> Pixels:
    """Decode the first frame to 8-bit RGB: upright, transparency over white.

    Args:
        data: the whole file.
        kind: Pillow's name of the format; no other decoder is tried.
        orientation: EXIF's number 1 to 8; read from the file by Pillow without it.

    Returns:
        uint8 H×W×3.

    Raises:
        Refused: too large, or damaged.
        MemoryError: the process may not take as much memory as this needs.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=(kind,))  # reads the header only
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"This image unpacks to more than {MAX_PIXELS // 10**6} megapixels; {LIMITS}") from None
    except MemoryError:
        raise
    except Exception:  # Pillow's plugins raise whatever a broken header makes them raise
        raise Refused(damaged(kind)) from None
    check_size(*image.size)
    try:
        image.load()
        rgb = _rgb(_eight_bits(_upright(image, orientation)))
    except MemoryError:
        raise
    except Exception:  # likewise for a broken body
        raise Refused(damaged(kind)) from None
    check_size(*rgb.size)
    return np.array(rgb, dtype=np.uint8)


def read_values(png: bytes) -> Pixels | None:
    """Decode a PNG file of 8-bit gray or RGB values; None where it holds something else.

    Returns:
        uint8 H×W×3 or H×W×1.

    Raises:
        Refused: damaged.
    """
    try:
        image = Image.open(io.BytesIO(png), formats=("PNG",))
        if image.mode not in ("L", "RGB"):
            return None
        pixels = np.array(image, dtype=np.uint8)
    except Exception:  # as in `read`
        raise Refused(damaged("PNG")) from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def check_size(width: int, height: int) -> None:
    """Refuse an image that is too large or too small.

    Raises:
        Refused: it is.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE or min(width, height) < MIN_SIDE:
        raise Refused(f"This image is {width} × {height} pixels; {LIMITS}")


def damaged(kind: str) -> str:
    """The sentence about a file of that format that cannot be decoded."""
    name = {"WEBP": "WebP"}.get(kind, kind)
    return f"This {name} file is damaged or incomplete; open it elsewhere, save it again and hand that in."


def too_costly(kind: str, what: str) -> str:
    """The sentence about a file that takes more of `what` than one image may."""
    return f"This {kind} file takes too much {what} to decode; open it elsewhere and save it again as a plain PNG."


def _upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """Turned as the camera held it; an EXIF block that cannot be read turns nothing."""
    if orientation is None:
        try:
            orientation = image.getexif().get(_ORIENTATION, 1)
        except MemoryError:
            raise
        except Exception:  # Pillow's EXIF reader raises whatever a broken block makes it raise; the pixels are whole
            orientation = 1
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deeper grays scaled to 8 bits; Pillow's own conversion would clip them to white."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.float64)
    np.nan_to_num(values, copy=False)
    tops = {"F": [1.0, 255.0, 65535.0], "I": [255.0, 65535.0, 2.0**31 - 1]}.get(image.mode, [65535.0])
    highest = float(values.max())
    values /= next((top for top in tops if highest <= top), highest)
    values *= 255
    values += 0.5
    return Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == "RGB" else image.convert("RGB")


# The process


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests (format, length, claimed pixels, file) until there are no more."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        kind, length, claimed = REQUEST.unpack(head)
        data = requests.read(length)
        status = DECODED
        try:
            _allow(BASE_MEMORY + MEMORY_PER_PIXEL * claimed)
            pixels = read(data, kind.rstrip(b"\0").decode())
            answers.write(ANSWER.pack(status, *pixels.shape[:2]))
            answers.write(np.ascontiguousarray(pixels).data)
            del pixels
        except Refused as refused:
            sentence = str(refused).encode()
            answers.write(ANSWER.pack(REFUSED, len(sentence), 0) + sentence)
        except MemoryError:
            answers.write(ANSWER.pack(OUT_OF_MEMORY, 0, 0))
        del data
        answers.flush()


def _allow(memory: int) -> None:
    """Let this process take so many more bytes than it began with, and `CPU_SECONDS` from now."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS
    for what, most in ((resource.RLIMIT_AS, _BEGINNING + memory), (resource.RLIMIT_CPU, seconds)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that does not limit it
            resource.setrlimit(what, (most, hard))


def _virtual_memory() -> int:
    """Bytes of address space that this process has; 1 GB where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 10**9


_BEGINNING = _virtual_memory() if __name__ == "__main__" else 0

if __name__ == "__main__":
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _serve(sys.stdin.buffer, out)
