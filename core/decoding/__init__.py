"""Untrusted image files to pixels: bounded in time and memory, whatever the file claims."""

from __future__ import annotations

from core.decoding import headers, pillow, process
from core.decoding.pillow import KINDS, MAX_PIXELS, Pixels
from core.inputs import InvalidInput

MAX_BYTES = 25_000_000


def decode(data: bytes) -> Pixels:
    """Decode an untrusted image file to 8-bit RGB: upright, first frame, transparency over white.

    A plain PNG or JPEG file is decoded here, anything else in a process with limits on time and memory.

    Args:
        data: the whole file; its name and extension play no part.

    Returns:
        uint8 H×W×3.

    Raises:
        InvalidInput: empty, too large, damaged, too costly, or no image of the accepted formats.
    """
    if not data:
        raise InvalidInput(f"This file is empty; hand in a {KINDS} image.")
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"This file has {len(data) / 1e6:.0f} MB; Mirage takes files up to {MAX_BYTES // 10**6} MB.")
    kind = headers.kind_of(data)
    if kind is None:
        raise InvalidInput(_unknown(data))
    try:
        claim = headers.check(data, kind)
        if claim.plain is not None:
            return pillow.read(claim.plain, kind, claim.orientation)
        return process.decode(data, kind, claim.pixels)
    except pillow.Refused as refused:
        raise InvalidInput(str(refused)) from None
    except InvalidInput:
        if data[4:12] in (b"ftypmif1", b"ftypmsf1"):  # these hold either
            raise InvalidInput(_HEIC) from None
        raise


def decode_png(data: bytes) -> Pixels:
    """Decode a PNG file of 8-bit gray or RGB values, each value kept.

    Returns:
        uint8 H×W×3 or H×W×1.

    Raises:
        InvalidInput: damaged, too large, or a file of another kind.
    """
    try:
        plain = headers.check_png(data).plain
        pixels = pillow.read_values(plain) if plain is not None else None
    except pillow.Refused as refused:
        raise InvalidInput(str(refused)) from None
    if pixels is None:
        raise InvalidInput("This PNG file is none that Mirage wrote.")
    return pixels


_HEIC = f"HEIC images cannot be read here; save it as a {KINDS} image."


def _unknown(data: bytes) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"heim"):
        return _HEIC
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head:
        return f"An SVG is a drawing, not pixels; save it as a {KINDS} image."
    for kind, beginning in (("PNG", b"\x89PNG"), ("GIF", b"GIF8")):
        if data.startswith(beginning):
            return pillow.damaged(kind)
    return f"This file is no image that Mirage can read; hand in a {KINDS} image."


__all__ = ["KINDS", "MAX_BYTES", "MAX_PIXELS", "Pixels", "decode", "decode_png"]
