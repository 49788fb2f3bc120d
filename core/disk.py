"""Where data lives, how a file is written there, and why something cannot be kept there."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def data_root() -> Path:
    """Where data sets, artifacts and runs live: MIRAGE_DATA, or a folder in the user's cache."""
    configured = os.environ.get("MIRAGE_DATA")
    if configured:
        return Path(configured).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mirage"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def reason(error: Exception) -> str:
    """Why nothing can be written in the data folder, and what to do, as the end of a sentence."""
    number = getattr(error, "errno", None)
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    words = getattr(error, "strerror", None) or str(error)
    if number in _FULL or code == sqlite3.SQLITE_FULL:
        return f"{words}. Free some space, or set MIRAGE_DATA to another folder."
    if number in _FORBIDDEN or code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return f"{words}. Make it writable, or set MIRAGE_DATA to a folder that is."
    return f"{words}. Set MIRAGE_DATA to another folder."


def about_the_disk(error: BaseException) -> bool:
    """Whether an error comes from the disk, and not from a network or a program."""
    return isinstance(error, OSError) and error.errno in (*_FULL, *_FORBIDDEN, errno.EEXIST, errno.ENOTDIR)
