"""CIFAR-10 (Krizhevsky 2009): 60,000 images of 32×32, ten classes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from core import files
from core.disk import data_root
from core.domains import stored
from core.domains.base import Domain, GalleryItem, Pixels
from core.domains.budget import Budget
from core.domains.gallery import one_of_each_class
from core.domains.photos import photograph
from core.fetching import RemoteFile, download
from core.progress import OnProgress

FOLDER = "cifar-10-batches-py"


@lru_cache(maxsize=2)
def _arrays(root: Path, train: bool, _stamp: files.Stamp) -> stored.Arrays | str:
    def load() -> stored.Arrays:
        from torchvision.datasets import CIFAR10  # here: torchvision takes seconds to import

        data = CIFAR10(str(root), train=train, download=False)
        return stored.arrays(data.data, data.targets, (32, 32, 3), 10)

    return stored.read(load, "CIFAR-10", root / FOLDER)


class Cifar10(Domain):
    """Ten classes of small images; the data set is downloaded once, a photograph stands in until then."""

    name: ClassVar[str] = "cifar10"
    title: ClassVar[str] = "CIFAR-10"
    note: ClassVar[str] = "Ten classes of 32×32 images: animals and vehicles."
    size: ClassVar[int] = 32
    dataset: ClassVar[str] = "CIFAR-10"
    l2: ClassVar[Budget] = Budget(0.5, 3.0, 0.05)

    @property
    def classes(self) -> tuple[str, ...]:
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def gallery(self) -> tuple[GalleryItem, ...]:
        if self.missing_reason():
            return (GalleryItem("cat", "cat (a photograph)", 3, credit="skimage"),)
        return one_of_each_class(self)

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return photograph(name) if self.missing_reason() else self.pixels("test", int(name))

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        return self._data(split)[1]

    def pixels(self, split: str, index: int) -> Pixels:
        pixels: Pixels = self._data(split)[0][index]
        return pixels

    def missing_reason(self) -> str | None:
        if (data_root() / FOLDER / "test_batch").exists():
            content = self._read("test")
            return content if isinstance(content, str) else None
        return "CIFAR-10 is not on this machine yet; download it once (170 MB), or take another domain."

    def fetch(self, on_progress: OnProgress | None = None) -> None:
        from torchvision.datasets import CIFAR10

        root = data_root()
        archive = RemoteFile([CIFAR10.url], root / CIFAR10.filename, CIFAR10.tgz_md5)
        download(
            [archive], root, 170_498_071, "CIFAR-10", on_progress, unpack=lambda: CIFAR10(str(root), download=True)
        )
        _arrays.cache_clear()

    def _data(self, split: str) -> stored.Arrays:
        return stored.checked(self._read(split))

    def _read(self, split: str) -> stored.Arrays | str:
        root = data_root()
        return _arrays(root, split == "train", stored.stamp_of(root / FOLDER))
