"""Each filter beside what a user would pick instead, on the same images, in one run on this machine.

    python -m benchmarks.filters [--batch 32] [--size 299] [--threads 2] [--runs 5]

Only the filter is timed: every library gets the images in the form it works on (float32 tensors or arrays; uint8
images for Pillow, which knows no other). The ratio is the peer's time over ours: above 1, ours is faster. Scipy,
scikit-image and Pillow work on one thread. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import skimage.data
import skimage.filters
import skimage.restoration
import torch
from PIL import Image, ImageFilter

from core.defenses import (
    JPEG,
    LGS,
    TVM,
    Bilateral,
    BitDepth,
    Defense,
    Gaussian,
    Median,
    SpatialSmoothing,
    TotalVariation,
)

try:
    import kornia.filters as kornia
except ImportError:
    kornia = None

SLOW = 4.0  # seconds; a run that takes longer is not repeated


@dataclass(frozen=True)
class Peer:
    """One way to do a defense's work: its library, a remark, the call that is timed, and the ratio that is asked for."""

    library: str
    remark: str
    work: Callable[[], object]
    asked: float = 1.0


def random_images(batch: int, size: int) -> torch.Tensor:
    """Photographs cut from scikit-image's astronaut, coffee and cat, N×3×size×size in [0, 1]."""
    generator = np.random.default_rng(0)
    sources = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat()]
    cut = []
    for index in range(batch):
        source = sources[index % 3]
        while min(source.shape[:2]) < size:
            source = source.repeat(2, 0).repeat(2, 1)
        top, left = (int(generator.integers(0, side - size + 1)) for side in source.shape[:2])
        cut.append(source[top : top + size, left : left + size])
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).contiguous().float() / 255


def comparisons(images: torch.Tensor) -> Iterator[tuple[Defense, list[Peer]]]:
    """Each defense with its peers, which do the same work unless the remark says otherwise."""
    array = images.numpy()
    pixels = (array * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    pillow = [Image.fromarray(values) for values in pixels]

    def as_users_do() -> torch.Tensor:
        opened = [
            through_file(Image.fromarray(p), 60) for p in (array * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
        ]
        return (
            torch.from_numpy(np.stack([np.asarray(p) for p in opened])).permute(0, 3, 1, 2).contiguous().float() / 255
        )

    yield (
        JPEG(quality=60),
        [
            Peer("Pillow", "float to float, a loop", as_users_do),
            Peer("Pillow", "codec alone, uint8", lambda: [through_file(pil_image, 60) for pil_image in pillow]),
        ],
    )
    yield BitDepth(), [Peer("NumPy", "the formula", lambda: np.round(array * np.float32(7)) / np.float32(7))]
    for window in (3, 5, 7, 15):
        defense = Median(window=window)
        few = len(array) if window < 7 else 1  # the peers take minutes at large windows; time is linear in images
        peers = [
            Peer(
                "SciPy",
                "median_filter",
                lambda w=window, n=few: scipy.ndimage.median_filter(array[:n], size=(1, 1, w, w), mode="mirror"),
                3,
            )
        ]
        if window < 7:
            peers += [
                Peer(
                    "scikit-image",
                    "filters.median",
                    lambda w=window: [
                        skimage.filters.median(plane, np.ones((w, w)), mode="mirror")
                        for plane in array.reshape(-1, *array.shape[2:])
                    ],
                    3,
                ),
                Peer("Pillow", "uint8", lambda w=window: [p.filter(ImageFilter.MedianFilter(w)) for p in pillow]),
            ]
        if kornia is not None:
            peers.append(Peer("kornia", "median_blur", lambda w=window, n=few: kornia.median_blur(images[:n], (w, w))))
        yield defense, peers
    sigma = Gaussian().width
    peers = [
        Peer(
            "SciPy",
            "gaussian_filter",
            lambda: scipy.ndimage.gaussian_filter(array, sigma, axes=(2, 3), radius=2, mode="mirror"),
        ),
        Peer(
            "scikit-image",
            "filters.gaussian",
            lambda: skimage.filters.gaussian(array, (0, 0, sigma, sigma), mode="mirror", truncate=1.9),
        ),
        Peer("Pillow", "uint8, 3 box blurs", lambda: [p.filter(ImageFilter.GaussianBlur(sigma)) for p in pillow]),
    ]
    if kornia is not None:
        peers.append(Peer("kornia", "gaussian_blur2d", lambda: kornia.gaussian_blur2d(images, (5, 5), (sigma, sigma))))
    yield Gaussian(), peers
    few = array[:4]  # scikit-image takes half a second per image
    peers = [
        Peer(
            "scikit-image",
            "denoise_bilateral",
            lambda: [skimage.restoration.denoise_bilateral(i, 5, sigma_spatial=1, channel_axis=0) for i in few],
            3,
        )
    ]
    if kornia is not None:
        peers.append(
            Peer("kornia", "bilateral_blur", lambda: kornia.bilateral_blur(images[:4], (5, 5), 0.25, (1.0, 1.0)))
        )
    yield Bilateral(), peers
    yield (
        SpatialSmoothing(),
        [
            Peer(
                "SciPy",
                "median_filter",
                lambda: scipy.ndimage.median_filter(array, size=(1, 1, 2, 2), mode="reflect"),
            )
        ],
    )
    yield (
        TotalVariation(),
        [
            Peer(
                "scikit-image",
                "denoise_tv_chambolle",
                lambda: [skimage.restoration.denoise_tv_chambolle(i, 0.1, channel_axis=0) for i in array],
                10,
            )
        ],
    )
    yield (
        TVM(),
        [
            Peer(
                "scikit-image",
                "denoise_tv_bregman",
                lambda: [skimage.restoration.denoise_tv_bregman(i, 10, channel_axis=0) for i in array],
            )
        ],
    )
    # Nobody else has it: within twice the time of a pass that reads and writes the batch twice.
    yield LGS(), [Peer("torch", "reads and writes the batch twice", lambda: images.add(0).add(0), 0.5)]


def through_file(pil_image: Image.Image, quality: int) -> Image.Image:
    """An image written as JPEG and decoded, in memory."""
    file = io.BytesIO()
    pil_image.save(file, format="JPEG", quality=quality)
    opened = Image.open(file)
    opened.load()
    return opened


def timed(work: Callable[[], object], runs: int) -> float:
    """Median seconds of several runs after one that warms up; a slow one runs once."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        if times[0] > SLOW:
            return times[0]
    return statistics.median(times[1:])


def processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filters", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    images = random_images(given.batch, given.size)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"python -m benchmarks.filters {' '.join(sys.argv[1:] if argv is None else argv)}".rstrip())
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{given.batch} images 3×{given.size}×{given.size}; ms per image, median of {given.runs} runs\n")
    print(f"{'filter':36}{'ours':>8}   {'peer':34}{'theirs':>9}{'ratio':>8}")
    behind = []
    for defense, peers in comparisons(images):
        with torch.no_grad():
            ours = timed(lambda d=defense: d.apply(images), given.runs) * 1e3 / given.batch  # type: ignore[misc]
            label = f"{defense.describe():36}{ours:8.2f}   "
            for peer in peers:
                few = 4 if isinstance(defense, Bilateral) else given.batch
                few = 1 if isinstance(defense, Median) and defense.window >= 7 else few
                theirs = timed(peer.work, given.runs) * 1e3 / few
                print(f"{label}{peer.library + ' ' + peer.remark:34}{theirs:9.2f}{theirs / ours:8.1f}", flush=True)
                if theirs < peer.asked * ours:
                    behind.append(
                        f"{defense.describe()}: {theirs / ours:.1f} times {peer.library}, {peer.asked:g} asked"
                    )
                label = f"{'':44}   "
    print(f"\nBehind: {'; '.join(behind)}" if behind else "\nEvery filter is as fast as asked.")


if __name__ == "__main__":
    main()
