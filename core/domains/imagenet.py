"""ImageNet (Russakovsky et al. 2015): 1000 classes, torchvision's published classifiers, pictures of the user's own."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from core import images
from core.device import pick
from core.domains.base import Domain, GalleryItem, Pixels, data_root
from core.domains.photos import photograph
from core.fetching import Watch
from core.inputs import BadInput
from core.models import pretrained
from core.models.classifier import Classifier

LABELLED = {"cat": 281, "coffee": 967, "rocket": 657, "officer": 652, "temple": 698}  # tabby, espresso, missile, ...
KINDS = (".jpg", ".jpeg", ".png", ".webp")


@lru_cache(maxsize=1)
def _categories() -> tuple[str, ...]:
    return pretrained.categories()


@lru_cache(maxsize=4)
def _folder(folder: Path, _changed: float) -> tuple[tuple[Path, int | None], ...]:
    """The pictures of a folder, labelled by its labels.csv (columns file, label) where it has one, in order."""
    table: dict[str, int] = {}
    if (folder / "labels.csv").exists():
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("file") and str(row.get("label", "")).isdecimal() and int(row["label"]) < 1000:
                    table[row["file"]] = int(row["label"])
    return tuple((p, table.get(p.name)) for p in sorted(folder.iterdir()) if p.suffix.lower() in KINDS)


class ImageNet(Domain):
    """1000 classes; published weights are downloaded on first use, pictures come from the user."""

    name: ClassVar[str] = "imagenet"
    title: ClassVar[str] = "ImageNet"
    note: ClassVar[str] = (
        "1000 classes and torchvision's published classifiers, downloaded on first use. "
        "Put pictures of yours into the folder 'imagenet' of Mirage's data folder to find them here."
    )
    size: ClassVar[int] = 224

    @property
    def classes(self) -> tuple[str, ...]:
        return _categories()

    def classifier_names(self) -> tuple[str, ...]:
        return pretrained.names(data_root())

    def classifier_title(self, name: str) -> str:
        return pretrained.title(name)

    def classifier_note(self, name: str) -> str:
        return pretrained.note(name, data_root())

    def classifier(self, name: str | None = None, device: str | None = None, watch: Watch | None = None) -> Classifier:
        name = name or self.classifier_names()[0]
        if name not in self.classifier_names():
            raise BadInput(
                f"ImageNet has no classifier called {name[:60]!r}; it has {', '.join(self.classifier_names())}."
            )
        return pretrained.load(name, data_root(), device=str(pick(device)), watch=watch)

    def gallery(self) -> tuple[GalleryItem, ...]:
        return tuple(GalleryItem(name, name, label) for name, label in LABELLED.items())

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return photograph(name)

    def splits(self) -> tuple[str, ...]:
        """The user's folder: the pictures with a known class first, as 'test'; the others as 'unlabelled'."""
        return tuple(split for split in ("test", "unlabelled") if self._pictures(split))

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        return np.asarray([-1 if label is None else label for _, label in self._pictures(split)], dtype=np.int64)

    def pixels(self, split: str, index: int) -> Pixels:
        return images.decode(self._pictures(split)[index][0].read_bytes())

    def missing(self) -> str | None:
        if self.splits():
            return None
        return f"No pictures of yours are here yet; put some into {data_root() / 'imagenet'}, or upload one."

    def _pictures(self, split: str) -> tuple[tuple[Path, int | None], ...]:
        folder = data_root() / "imagenet"
        if not folder.is_dir():
            return ()
        return tuple(p for p in _folder(folder, folder.stat().st_mtime) if (p[1] is not None) == (split == "test"))
