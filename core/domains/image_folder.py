"""A folder of the user's own images: labeled by a table (labels.csv) as spreadsheets and scripts write it, or by class folders."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core import files, images
from core.decoding import MAX_BYTES
from core.domains.label_table import WORDNET, Names, Table, read_table
from core.inputs import InvalidInput

MAX_IMAGES = 100_000
TABLES = ("labels.csv", "labels.tsv", "labels.txt")
_TICK = 50_000_000  # nanoseconds; file systems tell times by a coarser clock
_SHOWN = 3  # troubles that are told one by one

ClassNumber = Callable[[str], int]


@dataclass(frozen=True)
class Notice:
    """A sentence about the folder; a `problem` is one that the user should mend."""

    text: str
    problem: bool = False


@dataclass(frozen=True)
class ImageFolder:
    """The images in order, those with a known class apart from the others, and what there is to say about them."""

    labeled: tuple[tuple[Path, int], ...] = ()
    unlabeled: tuple[Path, ...] = ()
    notices: tuple[Notice, ...] = ()
    stamp: files.Stamp = ()


def open_folder(folder: Path, class_number: ClassNumber, last: ImageFolder | None = None) -> ImageFolder:
    """The images of a folder; `last` once more where nothing has changed since.

    Args:
        folder: it need not exist.
        class_number: the class of a name or number; raises InvalidInput where there is none.
        last: what an earlier call returned for this folder.
    """
    if last is not None and last.stamp and files.stamp(path for path, _, _ in last.stamp) == last.stamp:
        return last
    return _read(folder, class_number)


def read_image(path: Path) -> images.Pixels:
    """Decode one image file.

    Returns:
        uint8 H×W×3.

    Raises:
        InvalidInput: it cannot be read or decoded; the sentence names the file.
    """
    data = files.read_bytes(path, MAX_BYTES)
    try:
        return images.decode(data)
    except InvalidInput as error:
        raise InvalidInput(f"{files.display_path(path)}: {error}") from None


def _read(folder: Path, class_number: ClassNumber) -> ImageFolder:
    if not os.path.isdir(folder):
        return ImageFolder()
    began = time.time_ns()
    walk = _Walk(folder)
    paths = sorted(walk.images())
    stamp = files.stamp([*walk.folders, *walk.tables])
    if began - max(changed for _, changed, _ in stamp) < _TICK:
        stamp = ()  # what is written right after this might get the same time; look again next time
    table = Table()
    if walk.tables:
        table = read_table(Path(walk.tables[0]), Names(folder, paths), class_number)
    by_folder = _class_folders({path.parent for path in paths}, folder, class_number)
    labels = {path: table.labels.get(path, by_folder[path.parent]) for path in paths}
    labeled = tuple((path, label) for path, label in labels.items() if label is not None)
    unlabeled = tuple(path for path, label in labels.items() if label is None)
    notices = tuple(_notices(folder, walk, table, len(labeled), len(paths)))
    return ImageFolder(labeled, unlabeled, notices, stamp)


class _Walk:
    """The folder and all below it: images, tables of labels, and what could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folders: list[str] = []
        self.tables: list[str] = []
        self.unreadable: list[str] = []
        self.full = False

    def images(self) -> Iterator[Path]:
        count, seen, waiting = 0, set(), [str(self.folder)]
        while waiting:
            folder = waiting.pop()
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:  # a link back to a folder above
                    continue
                seen.add((status.st_dev, status.st_ino))
                self.folders.append(folder)
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.unreadable.append(f"{files.display_path(folder)} ({files.reason(error)})")
                continue
            for entry in listed:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                is_image = entry.name.lower().endswith(tuple(f".{end}" for end in images.EXTENSIONS))
                is_table = folder == str(self.folder) and entry.name.lower() in TABLES
                try:
                    mode = entry.stat().st_mode
                except OSError as error:
                    if is_image or is_table:
                        broken = "a broken link" if entry.is_symlink() else files.reason(error)
                        self.unreadable.append(f"{files.display_path(entry.name)} ({broken})")
                    continue
                if stat.S_ISDIR(mode):
                    waiting.append(entry.path)
                elif (is_image or is_table) and not stat.S_ISREG(mode):
                    self.unreadable.append(f"{files.display_path(entry.name)} (a pipe or a device)")
                elif is_table:
                    self.tables.append(entry.path)
                elif is_image and count < MAX_IMAGES:
                    count += 1
                    yield Path(entry.path)
                elif is_image:
                    self.full = True


def _class_folders(folders: set[Path], root: Path, class_number: ClassNumber) -> dict[Path, int | None]:
    """The class that each folder is named by; that of the nearest folder above where its own name is none."""
    known: dict[Path, int | None] = {root: None}

    def label(folder: Path) -> int | None:
        if folder not in known:
            try:
                known[folder] = class_number(_words(folder.name))
            except InvalidInput:
                known[folder] = label(folder.parent)
        return known[folder]

    return {folder: label(folder) for folder in folders}


def _words(name: str) -> str:
    return name.replace("_", " ").strip()


def _notices(folder: Path, walk: _Walk, table: Table, labeled: int, total: int) -> Iterator[Notice]:
    shown = files.display_path(folder)
    if walk.unreadable:
        yield Notice(f"In {shown} these cannot be read: {_listed(walk.unreadable)}.", problem=True)
    if walk.full:
        yield Notice(f"{shown} holds more than {MAX_IMAGES:,} images; the first {MAX_IMAGES:,} are used.", problem=True)
    if walk.tables and total:
        name = files.display_path(os.path.basename(walk.tables[0]))
        text = f"{name} names {len(table.labels)} of {total} images"
        if 2 * len(table.labels) < total:
            text += "; it must have a column 'file' (names such as cat.jpg) and a column 'label' (a class by name or number)"
        if table.troubles:
            text += f". {_listed(table.troubles)}"
        yield Notice(f"{text}.", problem=bool(table.troubles) or not table.labels)
    if total and not walk.tables:
        how = "" if labeled else "; add labels.csv with the columns 'file' and 'label', or folders named by class"
        yield Notice(f"{labeled} of {total} images have a known class{how}.")
    wordnet = sorted({Path(name).name for name in walk.folders if WORDNET.fullmatch(Path(name).name)})
    if wordnet:
        yield Notice(
            f"Folders named by WordNet IDs ({wordnet[0]}) give no class here; name them by class or number.",
            problem=True,
        )


def _listed(troubles: list[str]) -> str:
    more = len(troubles) - _SHOWN
    text = "; ".join(troubles[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return text
