"""The ground around an image: the loss over two directions, the decision regions of a plane, the spectrum of a change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from core.inputs import InvalidInput, owned
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.threads import parallel_map

Values = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]

BATCH = {"cpu": 16}  # images a pass: small enough for a processor's cache
LARGE = 256


@dataclass(frozen=True)
class Grid:
    """What a classifier says over a plane of images: row i is `down[i]`, column j is `across[j]`."""

    across: Values  # J, in units of the first direction
    down: Values  # I, in units of the second direction
    loss: Values  # I×J: cross-entropy of the true class
    predicted: Classes  # I×J
    confidence: Values  # I×J, of the predicted class


def directions(classifier: Classifier, image: Tensor, label: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The sign of the loss's gradient at an image 1×C×H×W, and random signs: of the same size in L∞ and nearly so in L2."""
    with torch.inference_mode(False), torch.enable_grad():
        x = owned(image, classifier.device, torch.float32).clone().requires_grad_(True)
        loss = F.cross_entropy(classifier(x), torch.tensor([label], device=x.device))
        (slope,) = torch.autograd.grad(loss, x)
    random = torch.randint(0, 2, image.shape, generator=generator) * 2.0 - 1
    return slope.sign().cpu(), random


def surface(
    classifier: Classifier,
    image: Tensor,
    label: int,
    first: Tensor,
    second: Tensor,
    across: Values,
    down: Values,
    *,
    clip: bool = True,
    text: str = "Loss surface",
    on_progress: OnProgress | None = None,
) -> Grid | None:
    """What the classifier says of image + a·first + d·second, all 1×C×H×W, for a of `across` and d of `down`.

    Images are cut to [0, 1], as every image is that a classifier gets to see; a plane through given images is not (`clip`).
    `on_progress` is called before each batch with `text` and how many images are done, of all. None where it stopped the work.
    """
    device = classifier.device
    # All batches come from these three, so they come in the layout in which the network works.
    image, first, second = (t.to(device, memory_format=torch.channels_last) for t in (image, first, second))
    columns, rows = np.meshgrid(across, down)
    a, d = (
        torch.from_numpy(values.ravel().astype(np.float32)).to(device)[:, None, None, None]
        for values in (columns, rows)
    )
    size = BATCH.get(device.type, LARGE)
    starts = range(0, len(a), size)
    logits: dict[int, Tensor] = {}

    def look(start: int) -> None:
        part = slice(start, start + size)
        batch = image + a[part] * first + d[part] * second
        batch = batch.clamp(0, 1) if clip else batch
        logits[start] = classifier(batch).float()

    def count_images(batches: Progress) -> bool | None:
        return on_progress is not None and on_progress(Progress(text, starts[batches.done], len(a)))

    with torch.no_grad():
        if not parallel_map(look, starts, on_progress=count_images):
            return None
    everything = torch.cat([logits[start] for start in starts])
    loss = F.cross_entropy(everything, torch.full((len(everything),), label, device=device), reduction="none")
    confidence, predicted = everything.softmax(1).max(1)
    shape = rows.shape
    return Grid(
        across=across.astype(np.float32),
        down=down.astype(np.float32),
        loss=loss.view(shape).cpu().numpy(),
        predicted=predicted.view(shape).cpu().numpy(),
        confidence=confidence.view(shape).cpu().numpy(),
    )


@dataclass(frozen=True)
class Plane:
    """A plane through three images: two directions of length 1 at a right angle, and where the three lie on it."""

    first: Tensor
    second: Tensor
    places: tuple[tuple[float, float], ...]  # of clean, adversarial and the third image: across, down


def plane(clean: Tensor, adversarial: Tensor, third: Tensor) -> Plane:
    """The plane through three images 1×C×H×W; the first direction goes from clean to adversarial (Gram and Schmidt).

    Raises:
        InvalidInput: two of them are the same, or all three lie on one line.
    """
    toward, aside = (adversarial - clean).double(), (third - clean).double()
    length = float(toward.norm())
    if length == 0:
        raise InvalidInput("The attack changed nothing, so there is no plane through both images.")
    first = toward / length
    along = float((aside * first).sum())
    rest = aside - along * first
    height = float(rest.norm())
    if height < 1e-6 * max(1.0, float(aside.norm())):
        raise InvalidInput("The third image lies on the line through the other two; choose another one.")
    second = rest / height
    return Plane(first.float(), second.float(), ((0.0, 0.0), (length, 0.0), (along, height)))


def steps_around(values: tuple[float, ...], count: int, margin: float = 0.25) -> Values:
    """`count` even steps from below the least to above the largest of `values`."""
    low, high = min(values), max(values)
    room = margin * (high - low)
    return np.linspace(low - room, high + room, count, dtype=np.float32)


def spectrum(change: Tensor) -> Values:
    """The power of a change C×H×W by frequency, mean over the channels: H×W, frequency 0 in the middle.

    By Parseval's theorem, its mean is the sum of the squared change over a channel.
    """
    power = torch.fft.fft2(change.double()).abs().square().mean(0)
    shifted: Values = torch.fft.fftshift(power).float().numpy()
    return shifted


def radial(power: Values) -> tuple[Values, Values]:
    """The power by distance from frequency 0: frequencies in cycles a pixel, and the mean power at each, up to 1/2."""
    height, width = power.shape
    down = np.fft.fftshift(np.fft.fftfreq(height))[:, None]
    across = np.fft.fftshift(np.fft.fftfreq(width))[None, :]
    count = min(height, width) // 2
    rings = np.round(np.hypot(down, across) * 2 * count).astype(int)
    inside = rings <= count
    sums = np.bincount(rings[inside], power[inside], minlength=count + 1)
    sizes = np.bincount(rings[inside], minlength=count + 1)
    return (np.arange(count + 1) / (2 * count)).astype(np.float32), (sums / np.maximum(sizes, 1)).astype(np.float32)


def high_share(power: Values, above: float = 0.25) -> float | None:
    """The share of the power at more than `above` cycles a pixel, by distance from frequency 0; None where there is no power."""
    height, width = power.shape
    distance = np.hypot(
        np.fft.fftshift(np.fft.fftfreq(height))[:, None], np.fft.fftshift(np.fft.fftfreq(width))[None, :]
    )
    total = float(power.sum())
    return float(power[distance > above].sum()) / total if total else None
