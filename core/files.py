"""Files that a user names: every reason why one cannot be read or written is a sentence."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from core.inputs import InvalidInput

Stamp = tuple[tuple[str, int, int], ...]  # path, time of change in nanoseconds, size: changes when a file does

MAX_TEXT = 10_000_000  # bytes of a recipe, a plan, a table of labels


def display_path(path: str | os.PathLike[str]) -> str:
    """The path for people; bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def reason(error: OSError) -> str:
    """Why the system refused, in words: 'permission denied'."""
    text = error.strerror or type(error).__name__
    return text[:1].lower() + text[1:]


def check_regular(path: str | os.PathLike[str], most: int) -> None:
    """Refuse what must not be opened: a pipe or a device may never end.

    Raises:
        InvalidInput: missing, no regular file, or larger than `most` bytes.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        why = reason(error) if isinstance(error, OSError) else "this is no file name"
        raise InvalidInput(f"{display_path(path)} cannot be read: {why}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{display_path(path)} is a folder; name a file.")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(f"{display_path(path)} is a pipe or a device; name a file.")
    if status.st_size > most:
        raise InvalidInput(
            f"{display_path(path)} has {status.st_size / 1e6:.0f} MB; it may have {most / 1e6:.0f} MB at most."
        )


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The contents of a regular file; a pipe or a device is not opened, since it may never end.

    Raises:
        InvalidInput: missing, no regular file, larger than `most` bytes, or not to be read.
    """
    check_regular(path, most)
    try:
        with open(path, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise InvalidInput(f"{display_path(path)} cannot be read: {reason(error)}.") from None


def check_writable(folder: Path) -> None:
    """Make the folder, and try to write into it, so that work whose results could not be saved does not begin.

    Raises:
        InvalidInput: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "this is no file name"
        if isinstance(error, FileExistsError | NotADirectoryError):
            why = "a file is in the way"
        raise InvalidInput(f"Nothing can be written to {display_path(folder)}: {why}; name another folder.") from None


def stamp(paths: Iterable[str | os.PathLike[str]]) -> Stamp:
    """The times and sizes by which a change of these files and folders is noticed."""
    stamps = []
    for path in paths:
        try:
            status = os.stat(path)
            # A folder's size is no use: file systems change it as they like.
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            stamps.append((os.fspath(path), status.st_mtime_ns, size))
        except OSError:
            stamps.append((os.fspath(path), 0, 0))
    return tuple(stamps)
