"""MNIST (LeCun et al. 1998): 70,000 handwritten digits of 28×28; scikit-learn's digits stand in where it is not here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from core import files
from core.disk import data_root
from core.domains import stored
from core.domains.base import Domain, GalleryItem, Pixels
from core.domains.budget import Budget
from core.domains.gallery import one_of_each_class
from core.fetching import RemoteFile, download
from core.progress import OnProgress

HELD_OUT = 5  # every fifth of scikit-learn's digits is kept from training


@lru_cache(maxsize=2)
def _arrays(root: Path, train: bool, _stamp: files.Stamp) -> stored.Arrays | str:
    def load() -> stored.Arrays:
        from torchvision.datasets import MNIST  # here: torchvision takes seconds to import

        data = MNIST(str(root), train=train, download=False)
        return stored.arrays(data.data.numpy()[..., None], data.targets.numpy(), (28, 28, 1), 10)

    return stored.read(load, "MNIST", root / "MNIST" / "raw")


@lru_cache(maxsize=2)
def fallback_digits(train: bool) -> stored.Arrays:
    """scikit-learn's 8×8 digits enlarged to 28×28, N×28×28×1 of 8 bits, and their classes."""
    from sklearn.datasets import load_digits  # here: scikit-learn takes seconds to import

    digits, labels = load_digits(return_X_y=True)
    chosen = (np.arange(len(labels)) % HELD_OUT != 0) == train
    small = np.round(digits[chosen].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    large = [np.asarray(Image.fromarray(digit).resize((28, 28), Image.Resampling.BILINEAR)) for digit in small]
    return stored.arrays(np.stack(large)[..., None], labels[chosen], (28, 28, 1), 10)


class Mnist(Domain):
    """Handwritten digits; without the data set, scikit-learn's smaller ones, labeled so."""

    name: ClassVar[str] = "mnist"
    title: ClassVar[str] = "MNIST"
    note: ClassVar[str] = "Handwritten digits of 28×28."
    size: ClassVar[int] = 28
    channels: ClassVar[int] = 1
    dataset: ClassVar[str] = "MNIST"
    linf: ClassVar[Budget] = Budget(0.3, 0.5, 0.01)
    l2: ClassVar[Budget] = Budget(2.0, 5.0, 0.1)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(digit) for digit in range(10))

    def classifier_names(self) -> tuple[str, ...]:
        shipped = super().classifier_names()
        first = "a" if self._here() else "digits"
        return tuple(sorted(shipped, key=lambda name: name != first))

    def gallery(self) -> tuple[GalleryItem, ...]:
        items = one_of_each_class(self)
        if self.missing_reason() is None:
            return items
        return tuple(
            GalleryItem(i.name, f"{i.title} (stand-in)", i.label, credit="scikit-learn's digits") for i in items
        )

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return self.pixels("test", int(name))

    def splits(self) -> tuple[str, ...]:
        return ("test", "train")

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        return self._data(split)[1]

    def pixels(self, split: str, index: int) -> Pixels:
        pixels: Pixels = self._data(split)[0][index]
        return pixels

    def missing_reason(self) -> str | None:
        if self._here():
            content = self._read("test")
            return content if isinstance(content, str) else None
        return "MNIST is not on this machine yet; scikit-learn's digits stand in. Download it once (12 MB) for the real ones."

    def fetch(self, on_progress: OnProgress | None = None) -> None:
        from torchvision.datasets import MNIST

        root = data_root()
        archives = [
            RemoteFile([mirror + name for mirror in MNIST.mirrors], root / "MNIST" / "raw" / name, md5)
            for name, md5 in MNIST.resources
        ]
        download(archives, root, 11_594_722, "MNIST", on_progress, unpack=lambda: MNIST(str(root), download=True))
        _arrays.cache_clear()

    def _here(self) -> bool:
        return (data_root() / "MNIST" / "raw" / "t10k-images-idx3-ubyte").exists()

    def _data(self, split: str) -> stored.Arrays:
        return fallback_digits(split == "train") if self.missing_reason() else stored.checked(self._read(split))

    def _read(self, split: str) -> stored.Arrays | str:
        root = data_root()
        return _arrays(root, split == "train", stored.stamp_of(root / "MNIST" / "raw"))
