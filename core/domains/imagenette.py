"""Imagenette (Howard 2019): ten easy classes of ImageNet, real photographs."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from core import files
from core.disk import data_root
from core.domains import stored
from core.domains.base import Domain, GalleryItem, Pixels, read_only
from core.domains.gallery import one_of_each_class
from core.domains.image_folder import read_image
from core.domains.photos import photograph
from core.fetching import RemoteFile, download
from core.progress import OnProgress

FOLDER = "imagenette2-160"
STAND_INS = ("cat", "coffee", "rocket", "temple")


@lru_cache(maxsize=2)
def _files(root: Path, train: bool, _stamp: files.Stamp) -> tuple[tuple[Path, int], ...] | str:
    def load() -> tuple[tuple[Path, int], ...]:
        from torchvision.datasets import Imagenette as Loader  # here: torchvision takes seconds to import

        data = Loader(str(root), split="train" if train else "val", size="160px", download=False)
        return tuple((Path(path), int(label)) for path, label in data._samples)

    return stored.read(load, "Imagenette", root / FOLDER)


class Imagenette(Domain):
    """Ten classes of real photographs; photographs of other things stand in until the data set is downloaded."""

    name: ClassVar[str] = "imagenette"
    title: ClassVar[str] = "Imagenette"
    note: ClassVar[str] = "Ten classes of ImageNet: real photographs at 160 pixels."
    size: ClassVar[int] = 160
    dataset: ClassVar[str] = "Imagenette"

    @property
    def classes(self) -> tuple[str, ...]:
        return (
            "tench",
            "English springer",
            "cassette player",
            "chain saw",
            "church",
            "French horn",
            "garbage truck",
            "gas pump",
            "golf ball",
            "parachute",
        )

    def gallery(self) -> tuple[GalleryItem, ...]:
        if self.missing_reason():
            return tuple(GalleryItem(name, f"{name} (none of the ten classes)", None) for name in STAND_INS)
        return one_of_each_class(self)

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return photograph(name) if self.missing_reason() else self.pixels("test", int(name))

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        return read_only(np.asarray([label for _, label in self._data(split)], dtype=np.int64))

    def pixels(self, split: str, index: int) -> Pixels:
        return read_image(self._data(split)[index][0])

    def missing_reason(self) -> str | None:
        if os.path.isdir(data_root() / FOLDER / "val"):
            content = self._read("test")
            return content if isinstance(content, str) else None
        return "Imagenette is not on this machine yet; download it once (99 MB), or take another domain."

    def fetch(self, on_progress: OnProgress | None = None) -> None:
        from torchvision.datasets import Imagenette as Loader

        root = data_root()
        url, md5 = Loader._ARCHIVES["160px"]
        archive = RemoteFile([url], root / url.rpartition("/")[2], md5)
        download(
            [archive],
            root,
            99_003_388,
            "Imagenette",
            on_progress,
            unpack=lambda: Loader(str(root), size="160px", download=True),
        )
        _files.cache_clear()

    def _data(self, split: str) -> tuple[tuple[Path, int], ...]:
        return stored.checked(self._read(split))

    def _read(self, split: str) -> tuple[tuple[Path, int], ...] | str:
        root = data_root()
        folder = root / FOLDER / ("train" if split == "train" else "val")
        return _files(root, split == "train", stored.stamp_of(folder))
