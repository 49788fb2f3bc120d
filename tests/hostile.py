"""Files that a careless or ill-meaning visitor might hand in: python -m tests.hostile FOLDER writes them all."""

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

SIDE = (48, 40)  # width, height of the pictures that are meant to work


def scene() -> np.ndarray:
    """A picture without any symmetry: uint8 40×48×3."""
    width, height = SIDE
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 5, y * 6, (x + 2 * y) % 256], axis=2).astype(np.uint8)


def works() -> dict[str, bytes]:
    """Odd files that are pictures all the same, by file name."""
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
        "mislabelled.jpg": _save(rgb, "PNG"),
        "a name; $(rm -rf ~) & <b>ü<b> *猫*.png": _save(rgb, "PNG"),
        "cmyk.jpg": _save(rgb.convert("CMYK"), "JPEG", quality=95),
        "progressive.jpg": _save(rgb, "JPEG", progressive=True),
        "grey.png": _save(rgb.convert("L"), "PNG"),
        "bilevel.png": _save(rgb.convert("1"), "PNG"),
        "deep grey.png": _save(Image.fromarray(np.full((40, 48), 32768, np.uint16)), "PNG"),
        "deep ramp.png": _save(Image.fromarray(ramp), "PNG"),
        "deep ramp.tiff": _save(Image.fromarray(ramp), "TIFF"),
        "deep colours.png": _deep_png(scene()),
        "float.tiff": _save(Image.fromarray((scene()[..., 0] / 255).astype(np.float32)), "TIFF"),
        "rgba.png": _save(alpha, "PNG"),
        "la.png": _save(alpha.convert("LA"), "PNG"),
        "rgba.webp": _save(alpha, "WEBP", lossless=True, exact=True),
        "palette.png": _save(palette, "PNG"),
        "palette with a hole.png": _save(palette, "PNG", transparency=0),
        "key colour.png": _save(rgb, "PNG", transparency=tuple(int(v) for v in scene()[0, 0])),
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
    """Files that are no usable picture, by file name; most bear the name of one."""
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
        "text.png": "This is no picture: it's a text, ünd not even ASCII.\n".encode(),
        "text.txt": b"hello\n",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "drawing.png": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "page.html": b"<!doctype html><script>alert(1)</script>",
        "page.jpg": b"<!doctype html><img src=x onerror=alert(1)>",
        "paper.pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 40\n(/etc/passwd) (r) file\nshowpage\n",
        "drawing.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 40\nshowpage\n",
        "array.npy": _numpy(),
        "pickled.png": pickle.dumps({"picture": scene()}),
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


def write(folder: Path) -> dict[str, Path]:
    """Write every file into the folder; their paths by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, data in (works() | refused()).items():
        paths[name] = folder / name
        paths[name].write_bytes(data)
    return paths


def _save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _numpy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_head(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def _bomb(width: int, height: int) -> bytes:
    """A black bilevel PNG: a few kilobytes that unpack to width×height pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return _png_head(width, height, depth=1, colour=0) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    """A small picture with a comment that unpacks to 200 MB."""
    packer = zlib.compressobj(9)
    text = b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    plain = _save(Image.fromarray(scene()), "PNG")
    return plain[:33] + _chunk(b"zTXt", b"Comment\0\0" + text) + plain[33:]


def _deep_png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, value × 257."""
    rows = (pixels.astype(">u2") * 257).astype(">u2").reshape(len(pixels), -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = _png_head(pixels.shape[1], pixels.shape[0], depth=16)
    return head + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])).values():
        print(path)
