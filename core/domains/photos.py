"""The photographs that ship inside scikit-image, scikit-learn and matplotlib, one class each."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from core.domains.base import Domain, GalleryItem, Pixels, read_only
from core.domains.image_folder import read_image
from core.inputs import InvalidInput

_SKIMAGE, _SKLEARN, _MATPLOTLIB = "skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data/sample_data"
PHOTOGRAPHS: dict[str, tuple[str, str]] = {
    "cat": (_SKIMAGE, "chelsea.png"),
    "astronaut": (_SKIMAGE, "astronaut.png"),
    "coffee": (_SKIMAGE, "coffee.png"),
    "rocket": (_SKIMAGE, "rocket.jpg"),
    "motorcycle": (_SKIMAGE, "motorcycle_left.png"),
    "flower": (_SKLEARN, "flower.jpg"),
    "temple": (_SKLEARN, "china.jpg"),
    "officer": (_MATPLOTLIB, "grace_hopper.jpg"),
    "cameraman": (_SKIMAGE, "camera.png"),
    "coins": (_SKIMAGE, "coins.png"),
    "moon": (_SKIMAGE, "moon.png"),
    "galaxies": (_SKIMAGE, "hubble_deep_field.jpg"),
    "retina": (_SKIMAGE, "retina.jpg"),
    "tissue": (_SKIMAGE, "ihc.png"),
    "brick": (_SKIMAGE, "brick.png"),
    "grass": (_SKIMAGE, "grass.png"),
    "gravel": (_SKIMAGE, "gravel.png"),
}


@lru_cache(maxsize=len(PHOTOGRAPHS))
def photograph(name: str) -> Pixels:
    """One of the photographs in full, H×W×3; read only.

    Raises:
        InvalidInput: the library that carries it is not installed whole.
    """
    folder, file = PHOTOGRAPHS[name]
    package, _, inside = folder.partition("/")
    spec = importlib.util.find_spec(package)  # finds the folder without importing the library, which would take seconds
    for place in spec.submodule_search_locations or () if spec else ():
        path = Path(place) / inside / file
        if path.exists():
            pixels: Pixels = read_only(read_image(path))
            return pixels
    raise InvalidInput(f"The photograph {file!r} of {package} is missing; install the requirements again.")


class Photos(Domain):
    """Seventeen photographs, one class each: everything works with no network."""

    name: ClassVar[str] = "photos"
    title: ClassVar[str] = "Photographs"
    note: ClassVar[str] = (
        "Seventeen photographs that ship with the Python libraries, one class each. "
        "The classifier recognizes these images and nothing else."
    )
    size: ClassVar[int] = 160

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(PHOTOGRAPHS)

    def gallery(self) -> tuple[GalleryItem, ...]:
        return tuple(
            GalleryItem(name, name, number, credit=folder.partition("/")[0])
            for number, (name, (folder, _)) in enumerate(PHOTOGRAPHS.items())
        )

    def gallery_pixels(self, name: str) -> Pixels:
        self.gallery_item(name)
        return photograph(name)

    def splits(self) -> tuple[str, ...]:
        return ("test",)

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        return read_only(np.arange(len(PHOTOGRAPHS), dtype=np.int64))

    def pixels(self, split: str, index: int) -> Pixels:
        return photograph(list(PHOTOGRAPHS)[index])
