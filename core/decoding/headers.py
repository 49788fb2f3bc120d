"""What the header of an image file claims, read before any decoder runs.

The claims that have cost others minutes or gigabytes (scans, tiles, packed texts, sizes) are refused here. Of a plain PNG or
JPEG file a copy without metadata is made, which decodes in bounded time and memory; whatever is less plain is for a process
with limits.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from core.decoding.pillow import MAX_PIXELS, MAX_SIDE, MIN_SIDE, check_size, damaged
from core.inputs import InvalidInput

MAX_SCANS = 100  # of a progressive JPEG file; programs write about ten
MAX_SCAN_PIXELS = 1_000_000_000  # pixels × scans of any JPEG file
MAX_WORK = 20_000_000  # pixels (× scans) of a file that is decoded without limits
MAX_TEXT = 8_000_000  # bytes that all packed texts and profiles of a PNG file unpack to
MAX_PARTS = 5_000  # chunks or segments
MAX_TILE = 4_000_000  # pixels of a TIFF tile that is larger than the image
MAX_TAGS = 1_000_000  # bytes that the tags of a TIFF file claim, beyond twice the file's own

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_MARKER = re.compile(rb"\xff+[^\xff\x00]")
_SCAN_END = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")  # a marker that is no part of a scan
_JPEG_METADATA = {0xFE, 0xEF, *range(0xE1, 0xEE)}  # without JFIF's and Adobe's segments, which name the colors
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class Claim:
    """What a file claims to hold.

    `plain` is the same image as a file without metadata that decodes in bounded time and memory; None where the file must be
    decoded under limits. `orientation` is EXIF's, 1 to 8.
    """

    pixels: int
    plain: bytes | None = None
    orientation: int = 1


def kind_of(data: bytes) -> str | None:
    """Pillow's name of the format that the file begins like; None where it is none of the accepted ones."""
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1", b"msf1"):
        return "AVIF"
    return None


def check(data: bytes, kind: str) -> Claim:
    """Check what the file claims.

    Raises:
        InvalidInput: a claim is out of bounds, or the file ends within its header.
    """
    try:
        return _READERS[kind](data)
    except struct.error:
        raise InvalidInput(damaged(kind)) from None


def check_png(data: bytes) -> Claim:
    """As `check`, of a file that must be a PNG file.

    Raises:
        InvalidInput: it is none, or a claim is out of bounds.
    """
    if kind_of(data) != "PNG":
        raise InvalidInput(damaged("PNG"))
    try:
        return _png(data, smallest=1, most=MAX_PIXELS)
    except struct.error:
        raise InvalidInput(damaged("PNG")) from None


def _pixels(width: int, height: int) -> int:
    """The pixels of an image, refused where there are too many; a side too small may be an odd way to say that it follows later."""
    check_size(max(width, MIN_SIDE), max(height, MIN_SIDE))
    return width * height


def _png(data: bytes, smallest: int = MIN_SIDE, most: int = MAX_WORK) -> Claim:
    width, height = struct.unpack_from(">II", data, 16)
    claim = Claim(_pixels(width, height))
    chunks, at, orientation, texts, plain = [data[:8]], 8, 1, MAX_TEXT, True
    for _ in range(MAX_PARTS):
        (length,) = struct.unpack_from(">I", data, at)
        kind, start, end = data[at + 4 : at + 8], at + 8, at + 12 + length
        if end > len(data):
            return claim
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            chunks.append(data[at:end])
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[start : end - 4])
        elif kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            texts -= _unpacked(kind, data[start : end - 4], texts)
            plain &= b"Raw profile" not in data[start:end] and b"XML:com.adobe.xmp" not in data[start:end]
        elif not kind[:1].islower():  # a critical chunk that nobody knows
            return claim
        at = end
        if kind == b"IEND":
            plain &= min(width, height) >= smallest and claim.pixels <= most
            return Claim(claim.pixels, b"".join(chunks), orientation) if plain else claim
    return claim


def _unpacked(kind: bytes, body: bytes, most: int) -> int:
    """How many bytes a text or profile unpacks to."""
    _, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        return len(body)
    if kind == b"iTXt":
        if rest[:1] != b"\1":
            return len(body)
        packed = rest[2:].split(b"\0", 2)[-1]
    else:
        packed = rest[1:]
    unpacker = zlib.decompressobj()
    try:
        size = len(unpacker.decompress(packed, most + 1))
    except zlib.error:
        return len(body)
    if size > most:
        raise InvalidInput(
            "The texts and profiles in this PNG file unpack to more than 8 MB; save the image again without them."
        )
    return size


def _jpeg(data: bytes) -> Claim:
    """Walk the segments as libjpeg does; what is odd about them is no reason to stop counting scans."""
    segments, at, orientation, scans, exifs, plain = [b"\xff\xd8"], 2, 1, 0, 0, True
    claim = Claim(0)
    for _ in range(MAX_PARTS):
        match = _MARKER.match(data, at)
        if match is None:
            plain, match = False, _MARKER.search(data, at)
        if match is None:
            return claim
        at, marker = match.end() - 2, data[match.end() - 1]
        if marker == 0xD9:
            segments.append(b"\xff\xd9")
            plain &= 0 < scans * claim.pixels <= MAX_WORK
            return Claim(claim.pixels, b"".join(segments), orientation) if plain else claim
        if marker == 1 or 0xD0 <= marker <= 0xD8:
            plain, at = False, at + 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            return claim
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            plain &= claim.pixels == 0 and marker <= 0xC2 and data[at + 4] == 8 and min(width, height) >= MIN_SIDE
            claim = Claim(max(claim.pixels, _pixels(width, height)))
        elif marker == 0xE1:
            exif = data.startswith(b"Exif\0\0", at + 4)
            exifs += exif
            plain &= exifs <= 1 and (exif or b"tiff:Orientation" not in data[at:end])
            orientation = _exif_orientation(data[at + 10 : end]) if exif else orientation
        elif marker == 0xDA:
            scans += 1
            if scans > MAX_SCANS or scans * claim.pixels > MAX_SCAN_PIXELS:
                raise InvalidInput(
                    f"This JPEG file holds its image in {scans} scans or more; open it elsewhere and save it again."
                )
            last = _SCAN_END.search(data, end)
            if last is None:
                return claim
            end = last.start()
        elif marker in (0xC8, 0xCC, 0xDC, 0xDE, 0xDF):  # arithmetic coding, hierarchical, a height that comes later
            plain = False
        if marker not in _JPEG_METADATA:
            segments.append(data[at:end])
        at = end
    return claim


def _exif_orientation(exif: bytes) -> int:
    """The orientation that an EXIF block names, 1 where it names none or cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        if order is not None:
            (at,) = struct.unpack_from(order + "I", exif, 4)
            (count,) = struct.unpack_from(order + "H", exif, at)
            for entry in range(at + 2, at + 2 + 12 * count, 12):
                tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
                if tag == 0x0112 and values == 1 and kind in (1, 3, 4):
                    form = {1: "B", 3: "H", 4: "I"}[kind]
                    return int(struct.unpack_from(order + form, exif, entry + 8)[0])
    except struct.error:
        return 1
    return 1


def _tiff(data: bytes) -> Claim:
    order, big = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    word, entry = ("Q", 20) if big else ("I", 12)
    (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    if at + count * entry > len(data):
        raise InvalidInput(damaged("TIFF"))
    tags: dict[int, int] = {}
    claimed = 0
    for place in range(at, at + count * entry, entry):
        tag, kind, values = struct.unpack_from(order + "HH" + word, data, place)
        claimed += values * _TIFF_SIZES.get(kind, 1)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if form is not None and values == 1:
            (tags[tag],) = struct.unpack_from(order + form, data, place + (12 if big else 8))
    if claimed > 2 * len(data) + MAX_TAGS:
        raise InvalidInput(damaged("TIFF"))
    width, height = tags.get(256, 0), tags.get(257, 0)
    claim = Claim(_pixels(width, height))
    tile_width, tile_height = tags.get(322, 0), tags.get(323, 0)
    if max(tile_width, tile_height) > MAX_SIDE or tile_width * tile_height > max(4 * width * height, MAX_TILE):
        raise InvalidInput(
            f"This TIFF file holds an image of {width} × {height} pixels in tiles of {tile_width} × {tile_height}; save it again as PNG."
        )
    return claim


def _gif(data: bytes) -> Claim:
    return Claim(_pixels(*struct.unpack_from("<HH", data, 6)))


def _bmp(data: bytes) -> Claim:
    oldest = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if oldest else "<ii", data, 18)
    return Claim(_pixels(abs(width), abs(height)))


def _avif(data: bytes) -> Claim:
    boxes = re.finditer(b"ispe\0\0\0\0", data[:1_000_000])  # of the image, of its tiles, of its transparency
    return Claim(max((_pixels(*struct.unpack_from(">II", data, each.end())) for each in boxes), default=0))


def _webp(data: bytes) -> Claim:
    kind = data[12:16]
    if kind == b"VP8X":
        low = struct.unpack_from("<HBHB", data, 24)
        return Claim(_pixels(low[0] + (low[1] << 16) + 1, low[2] + (low[3] << 16) + 1))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Claim(_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
    width, height = struct.unpack_from("<HH", data, 26)
    return Claim(_pixels(width & 0x3FFF, height & 0x3FFF))


_READERS: dict[str, Callable[[bytes], Claim]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "TIFF": _tiff,
    "GIF": _gif,
    "BMP": _bmp,
    "AVIF": _avif,
    "WEBP": _webp,
}
