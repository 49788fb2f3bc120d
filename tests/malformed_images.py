"""Files that a careless or ill-meaning user might hand in: python -m tests.malformed_images FOLDER writes them all."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = (48, 40)  # width, height of the images that are meant to work


def scene() -> np.ndarray:
    """An image without any symmetry: uint8 40×48×3."""
    width, height = SIDE
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 5, y * 6, (x + 2 * y) % 256], axis=2).astype(np.uint8)


def works() -> dict[str, bytes]:
    """Odd files that are images all the same, by file name."""
    rgb = Image.fromarray(scene())
    ramp = np.linspace(0, 65535, 48 * 40).reshape(40, 48).astype(np.uint16)
    alpha = Image.fromarray(np.dstack([scene(), np.where(np.mgrid[:40, :48][1] < 24, 0, 255).astype(np.uint8)]))
    frames = [rgb, rgb.rotate(180), rgb.rotate(90)]
    palette = rgb.quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees to the right
    return {
        "plain.png": _save(rgb, "PNG"),
        "plain.jpg": _save(rgb, "JPEG", quality=95),
        "plain.webp": _save(rgb, "WEBP", lossless=True),
        "plain.bmp": _save(rgb, "BMP"),
        "plain.gif": _save(rgb, "GIF"),
        "plain.tiff": _save(rgb, "TIFF"),
        "plain.avif": _save(rgb, "AVIF"),
        "mislabeled.jpg": _save(rgb, "PNG"),
        "a name; $(rm -rf ~) & <b>ü<b> *猫*.png": _save(rgb, "PNG"),
        "cmyk.jpg": _save(rgb.convert("CMYK"), "JPEG", quality=95),
        "progressive.jpg": _save(rgb, "JPEG", progressive=True),
        "grey.png": _save(rgb.convert("L"), "PNG"),
        "bilevel.png": _save(rgb.convert("1"), "PNG"),
        "deep grey.png": _save(Image.fromarray(np.full((40, 48), 32768, np.uint16)), "PNG"),
        "deep ramp.png": _save(Image.fromarray(ramp), "PNG"),
        "deep ramp.tiff": _save(Image.fromarray(ramp), "TIFF"),
        "deep colors.png": _deep_png(scene()),
        "float.tiff": _save(Image.fromarray((scene()[..., 0] / 255).astype(np.float32)), "TIFF"),
        "rgba.png": _save(alpha, "PNG"),
        "la.png": _save(alpha.convert("LA"), "PNG"),
        "rgba.webp": _save(alpha, "WEBP", lossless=True, exact=True),
        "palette.png": _save(palette, "PNG"),
        "palette with a hole.png": _save(palette, "PNG", transparency=0),
        "key color.png": _save(rgb, "PNG", transparency=tuple(int(v) for v in scene()[0, 0])),
        "turned.jpg": _save(rgb, "JPEG", quality=95, exif=exif),
        "turned.png": _save(rgb, "PNG", exif=exif),
        "turned.webp": _save(rgb, "WEBP", lossless=True, exif=exif),
        "turned.tiff": _save(rgb, "TIFF", exif=exif),
        "broken exif.jpg": _save(rgb, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff nonsense"),
        "animated.gif": _save(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": _save(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "animated.png": _save(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "pages.tiff": _save(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "tail.png": _save(rgb, "PNG") + b"<script>alert(1)</script>",
    }


def refused() -> dict[str, bytes]:
    """Files that are no usable image, by file name; most bear the name of one."""
    rgb = Image.fromarray(scene())
    whole = {kind: _save(rgb, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF", "TIFF")}
    noise = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    wrong_sum = bytearray(whole["PNG"])
    wrong_sum[50] ^= 255
    return {
        **{f"truncated.{kind.lower()}": data[: int(len(data) * 0.6)] for kind, data in whole.items()},
        **{f"header only.{kind.lower()}": data[:24] for kind, data in whole.items()},
        "damaged.png": bytes(wrong_sum),
        "zero bytes.png": b"",
        "one byte.jpg": b"\xff",
        "noise.png": noise,
        "text.png": "This is no image: it's a text, ünd not even ASCII.\n".encode(),
        "text.txt": b"hello\n",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "drawing.png": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "page.html": b"<!doctype html><script>alert(1)</script>",
        "page.jpg": b"<!doctype html><img src=x onerror=alert(1)>",
        "paper.pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 40\n(/etc/passwd) (r) file\nshowpage\n",
        "drawing.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 40\nshowpage\n",
        "array.npy": _numpy(),
        "pickled.png": pickle.dumps({"image": scene()}),
        "archive.png": b"PK\x03\x04" + noise,
        "phone.heic": struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + noise,
        "plain.ppm": _save(rgb, "PPM"),
        "bomb.png": _bomb(30_000, 30_000),
        "smaller bomb.png": _bomb(11_000, 9_000),
        "text bomb.png": _text_bomb(),
        "1x1.png": _save(Image.new("RGB", (1, 1)), "PNG"),
        "7x7.png": _save(Image.new("RGB", (7, 7)), "PNG"),
        "20000x10.png": _save(Image.new("RGB", (20_000, 10), "grey"), "PNG"),
        "10x20000.gif": _save(Image.new("P", (10, 20_000)), "GIF"),
        "no pixels.png": _png_head(0, 0) + _chunk(b"IEND", b""),
        "negative.bmp": whole["BMP"][:18] + struct.pack("<ii", -48, -40) + whole["BMP"][26:],
    }


def bombs() -> dict[str, bytes]:
    """Small files that would take minutes or gigabytes, by file name: refused, or decoded within the limits."""
    rgb = Image.fromarray(scene())
    gif, jpeg = _save(rgb, "GIF"), _save(rgb, "JPEG")
    frame = gif[gif.index(b"\x2c\0\0\0\0") : -1]
    body = gif[: -1 - len(frame)]
    webp = _save(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)] * 3)
    huge = struct.pack("<H", 5000) + b"".join(struct.pack("<HHII", 300 + tag, 7, 60_000, 8) for tag in range(5000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + huge
    return {
        "scans.jpg": scan_bomb(10_000),
        "scans after an odd marker.jpg": scan_bomb(10_000).replace(b"\xff\xc4", b"\xff\xcc\0\4\0\x10junk\xff\xc4", 1),
        "few scans of a huge image.jpg": scan_bomb(40),
        "tile.tiff": tile_bomb(),
        "big tile.tiff": tile_bomb(big=True),
        "tags.tiff": b"II*\0\x08\0\0\0" + huge + bytes(60_000),
        "no tags.tiff": b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535),
        "text.png": _text_bomb(megabytes=20),
        "profile.png": _text_bomb(b"iCCP", 20),
        "frames.gif": body + frame * 10_000 + b";",
        "comments.gif": body + b"\x21\xfe" + (b"\xff" + b"x" * 255) * 20_000 + b"\0" + frame + b";",
        "canvas.webp": webp[:24] + b"\xff\xff\xff\xff\xff\xff" + webp[30:],
        "tags.jpg": jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:],
        "chunks.png": _save(rgb, "PNG")[:33] + _chunk(b"IDAT", b"") * 100_000 + _save(rgb, "PNG")[33:],
        "screen.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "size.png": _bomb(30_000, 3_000),
        "claim.bmp": _save(rgb, "BMP")[:18] + struct.pack("<ii", 30_000, 30_000) + _save(rgb, "BMP")[26:],
        "claim.avif": _save(rgb, "AVIF").replace(struct.pack(">II", *SIDE), struct.pack(">II", 30_000, 30_000)),
    }


def scan_bomb(scans: int) -> bytes:
    """A progressive JPEG file of 6300×6300 pixels that goes over all of them in every scan, 10 bytes each."""
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, 6300, 6300, 1) + b"\1\x11\0"
    table = b"\xff\xc4" + struct.pack(">H", 20) + b"\0\1" + bytes(16)
    quantizer = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" + b"\1" * 64
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\1\1\0\0\0\0"
    return b"\xff\xd8" + quantizer + frame + table + scan * scans + b"\xff\xd9"


def tile_bomb(big: bool = False) -> bytes:
    """A TIFF file (BigTIFF where `big`) of 64×64 pixels in one tile of 65520×30000."""
    packed = zlib.compress(bytes(1000))
    values = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 65_520, 323: 30_000, 324: 0, 325: len(packed)}
    word, entry, start = ("Q", 20, 16) if big else ("I", 12, 8)
    values[324] = start + (8 if big else 2) + len(values) * entry + struct.calcsize(word)
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) if big else b"II*\0" + struct.pack("<I", 8)
    tags = b"".join(struct.pack("<HH" + 2 * word, tag, 16 if big else 4, 1, value) for tag, value in values.items())
    return head + struct.pack("<Q" if big else "<H", len(values)) + tags + struct.pack("<" + word, 0) + packed


def write(folder: Path) -> dict[str, Path]:
    """Write every file into the folder; their paths by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, data in (works() | refused()).items():
        paths[name] = folder / name
        paths[name].write_bytes(data)
    return paths


def _save(pil_image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pil_image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _numpy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_head(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))


def _bomb(width: int, height: int) -> bytes:
    """A black bilevel PNG: a few kilobytes that unpack to width×height pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return _png_head(width, height, depth=1, color=0) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _text_bomb(kind: bytes = b"zTXt", megabytes: int = 200) -> bytes:
    """A small image with a comment or profile that unpacks to so much."""
    packer = zlib.compressobj(9)
    text = b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()
    plain = _save(Image.fromarray(scene()), "PNG")
    return plain[:33] + _chunk(kind, b"Comment\0\0" + text) + plain[33:]


def _deep_png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, value × 257."""
    rows = (pixels.astype(">u2") * 257).astype(">u2").reshape(len(pixels), -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = _png_head(pixels.shape[1], pixels.shape[0], depth=16)
    return head + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])).values():
        print(path)
