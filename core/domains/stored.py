"""Data sets on this machine: read by torchvision's loaders, whose failures become sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core import files
from core.inputs import InvalidInput

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]  # images N×H×W×C, classes N

T = TypeVar("T")


def stamp_of(*folders: Path) -> files.Stamp:
    """What changes when a file of one of the folders does; of files that are there, whatever their kind."""
    return tuple(each for folder in folders for each in files.stamp(sorted(folder.glob("*"))))


def read(load: Callable[[], T], what: str, folder: Path) -> T | str:
    """What `load` returns; a sentence where it fails, so that a cache keeps that too.

    Args:
        load: reads the files.
        what: the data set's name.
        folder: its files; none may be a pipe or a device, which would never end.
    """
    try:
        for path in folder.glob("*"):
            if not (path.is_file() or path.is_dir()):
                raise InvalidInput(f"{files.display_path(path)} is no file that can be read")
        return load()
    except Exception as error:  # a loader fails in as many ways as files are damaged
        why = str(error) if isinstance(error, InvalidInput) else type(error).__name__
        return f"The files of {what} in {files.display_path(folder)} are damaged or incomplete ({why}); delete them and download it again."


def checked(content: T | str) -> T:
    """What was read.

    Raises:
        InvalidInput: nothing was.
    """
    if isinstance(content, str):
        raise InvalidInput(content)
    return content


def arrays(images: object, labels: object, shape: tuple[int, ...], classes: int) -> Arrays:
    """Images and labels as read-only arrays.

    Raises:
        ValueError: they are not as many, not of that shape, or outside the classes.
    """
    pixels, numbers = np.asarray(images), np.asarray(labels, dtype=np.int64)
    if pixels.shape[1:] != shape or pixels.dtype != np.uint8 or not 0 < len(pixels) == len(numbers):
        raise ValueError(f"images of shape {pixels.shape}, {len(numbers)} labels")
    if numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError("a label is no class")
    pixels.setflags(write=False)
    numbers.setflags(write=False)
    return pixels, numbers
