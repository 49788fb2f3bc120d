"""ImageNet (Russakovsky et al. 2015): 1000 classes, torchvision's published classifiers, images of the user's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from core import files
from core.device import pick
from core.disk import data_root
from core.domains.base import Domain, GalleryItem, Pixels, read_only
from core.domains.image_folder import ImageFolder, Notice, open_folder, read_image
from core.domains.photos import photograph
from core.inputs import InvalidInput
from core.models import pretrained
from core.models.artifacts import Artifact
from core.models.classifier import Classifier
from core.progress import OnProgress

LABELED = {"cat": 281, "coffee": 967, "rocket": 657, "officer": 652, "temple": 698}  # tabby, espresso, missile, ...


@lru_cache(maxsize=1)
def _categories() -> tuple[str, ...]:
    return pretrained.categories()


_opened: dict[Path, ImageFolder] = {}


class ImageNet(Domain):
    """1000 classes; published weights are downloaded on first use, images come from the user."""

    name: ClassVar[str] = "imagenet"
    title: ClassVar[str] = "ImageNet"
    note: ClassVar[str] = (
        "1000 classes and torchvision's published classifiers, downloaded on first use. "
        "Put images of yours into the folder 'imagenet' of Mirage's data folder to find them here."
    )
    size: ClassVar[int] = 224

    @property
    def classes(self) -> tuple[str, ...]:
        return _categories()

    def classifier_names(self) -> tuple[str, ...]:
        return (*pretrained.names(data_root()), *self._artifacts())

    def classifier_title(self, name: str) -> str:
        return super().classifier_title(name) if self.is_local(name) else pretrained.title(name)

    def classifier_note(self, name: str) -> str:
        return super().classifier_note(name) if self.is_local(name) else pretrained.note(name, data_root())

    def classifier(
        self, name: str | None = None, device: str | None = None, on_progress: OnProgress | None = None
    ) -> Classifier:
        name = name or self.classifier_names()[0]
        if name not in self.classifier_names():
            raise InvalidInput(
                f"ImageNet has no classifier called {name[:60]!r}; it has {', '.join(self.classifier_names())}."
            )
        if self.is_local(name):
            return super().classifier(name, device, on_progress)
        return pretrained.load(name, data_root(), device=str(pick(device)), on_progress=on_progress)

    def gallery(self) -> tuple[GalleryItem, ...]:
        return tuple(GalleryItem(name, name, label) for name, label in LABELED.items())

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return photograph(name)

    def splits(self) -> tuple[str, ...]:
        """The user's folder: the images with a known class first, as 'test'; the others as 'unlabeled'."""
        folder = self._folder()
        return tuple(name for name, entries in (("test", folder.labeled), ("unlabeled", folder.unlabeled)) if entries)

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        folder = self._folder()
        known = [label for _, label in folder.labeled] if split == "test" else [-1] * len(folder.unlabeled)
        return read_only(np.asarray(known, dtype=np.int64))

    def pixels(self, split: str, index: int) -> Pixels:
        folder = self._folder()
        count = len(folder.labeled if split == "test" else folder.unlabeled)
        if not 0 <= index < count:
            raise InvalidInput(f"{split} holds the images 0 to {count - 1} now; there is no {index}.")
        return read_image(folder.labeled[index][0] if split == "test" else folder.unlabeled[index])

    def missing_reason(self) -> str | None:
        if self.splits():
            return None
        return f"No images of yours are here yet; put some into {files.display_path(data_root() / 'imagenet')}, or upload one."

    def notices(self) -> tuple[Notice, ...]:
        taken = (
            Notice(
                f"The artifact imagenet_{name} is left out: a published classifier has that name; rename its files.",
                True,
            )
            for name in super()._artifacts()
            if name in pretrained.names(data_root())
        )
        return (*super().notices(), *taken, *self._folder().notices)

    def _artifacts(self) -> dict[str, Artifact]:
        published = pretrained.names(data_root())
        return {name: artifact for name, artifact in super()._artifacts().items() if name not in published}

    def _folder(self) -> ImageFolder:
        path = data_root() / "imagenet"
        _opened[path] = folder = open_folder(path, self.class_number, _opened.get(path))
        return folder
