"""The SQLite file of a run: read within limits, its errors as sentences, removed with all that SQLite leaves beside it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.disk import reason
from core.inputs import InvalidInput

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE tasks (key TEXT PRIMARY KEY, classifier INT, attack INT, known_defense INT, batch INT, seconds REAL, targets BLOB);
CREATE TABLE scores (task TEXT, detector INT, scores BLOB, PRIMARY KEY (task, detector));
CREATE TABLE predictions (task TEXT, defense INT, predicted BLOB, confidence BLOB, true_confidence BLOB, seconds REAL,
                          PRIMARY KEY (task, defense));
CREATE TABLE images (classifier INT, attack INT, known_defense INT, position INT, png BLOB,
                     PRIMARY KEY (classifier, attack, known_defense, position));
CREATE TABLE extras (task TEXT, name TEXT, shape TEXT, data BLOB, PRIMARY KEY (task, name));
"""
# Only a run with certificates has it, so that files from before there were any are read unchanged.
CERTIFICATES = """
CREATE TABLE certified (task TEXT PRIMARY KEY, predicted BLOB, certified BLOB, radius BLOB, unit TEXT, refusal TEXT);
"""
ENDING = ".sqlite"
LARGEST = 64_000_000  # bytes of one value; the largest honest one (the labels of a million images) has 8 million
QUERY_TIMEOUT = 10.0  # seconds that one query may take

_SIDECARS = ("-journal", "-wal", "-shm")  # SQLite's own files beside a database; a journal that stays is rolled into it


class Database:
    """A run's file, which anybody may have put there: only the tables of a run are accepted, and every query has limits.

    Nothing stays locked between two calls, so that other threads and processes can write meanwhile.
    """

    def __init__(self, path: Path, lock_timeout: float = 30.0, query_timeout: float = QUERY_TIMEOUT) -> None:
        """Open the file.

        Args:
            lock_timeout: seconds to wait for others who write into it.
            query_timeout: seconds that one query may take.

        Raises:
            InvalidInput: there is no such run, or its file is no run, damaged, locked, or not to be read.
        """
        self.path, self.query_timeout = path, query_timeout
        self._deadline = float("inf")
        self._identity = _identity(path)
        with self.translate_errors():
            # mode=rw never creates a file; where writing is forbidden, SQLite opens it for reading.
            self.connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=lock_timeout, check_same_thread=False
            )
        try:
            self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
            self.connection.set_progress_handler(self._timed_out, 20_000)
            with self.translate_errors():
                for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
                    self.connection.execute(f"PRAGMA {pragma}")
            schemas = _expected(False), _expected(True)
            if {tuple(row) for row in self.query(_TABLES, most=len(schemas[1]))} not in schemas:
                raise InvalidInput(damaged(path))
        except InvalidInput:
            self.close()
            raise

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, values: tuple[Any, ...] = (), most: int = 1_000_000) -> list[Any]:
        """The rows that a query gives.

        Raises:
            InvalidInput: there are more than `most`, which a run never has, it takes too long, or the file cannot be read.
        """
        self._deadline = time.monotonic() + self.query_timeout
        try:
            with self.translate_errors(), closing(self.connection.execute(sql, values)) as cursor:
                rows = cursor.fetchmany(most + 1)
        finally:
            self._deadline = float("inf")
        if len(rows) > most:
            raise InvalidInput(damaged(self.path))
        return rows

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, whole or not at all.

        Raises:
            InvalidInput: the file cannot be written; what was stored before is still there.
        """
        with self.translate_errors(writing=True):
            self.connection.execute("PRAGMA query_only = OFF")
            try:
                with self.connection:
                    yield self.connection
            finally:
                self.connection.execute("PRAGMA query_only = ON")

    def content(self) -> bytes:
        """The whole file as it is between two transactions.

        To open the file otherwise would drop the locks that SQLite holds on it in this process.
        """
        with self.translate_errors():
            return self.connection.serialize()

    def _timed_out(self) -> bool:
        return time.monotonic() > self._deadline

    @contextmanager
    def translate_errors(self, writing: bool = False) -> Iterator[None]:
        """SQLite's errors as sentences."""
        try:
            yield
        except (sqlite3.Error, UnicodeError, MemoryError) as error:
            raise InvalidInput(self._sentence(error, writing)) from error

    def _sentence(self, error: Exception, writing: bool) -> str:
        run = f"The run {quoted(self.path.stem)}"
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        try:
            gone = _identity(self.path) != self._identity
        except InvalidInput:
            gone = True
        if gone:
            return f"{run} was deleted while it was in use; start it again to compute it anew."
        if code == sqlite3.SQLITE_FULL:
            return f"{run} could not be written: {error}. What was stored before is still there; free some space and go on."
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"{run} is in use by another program, which is writing into it; try again in a moment."
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            if writing:
                return (
                    f"{run} cannot be written: {self.path.parent} or the file is read-only. "
                    "Make both writable, or set MIRAGE_DATA to another folder."
                )
            return f"{run} cannot be read: {error}. Check who may read {self.path.parent} and the file."
        if code == sqlite3.SQLITE_IOERR:
            return f"{run} could not be written or read: the disk reports an error ({error}). What was stored before is still there."
        if code == sqlite3.SQLITE_INTERRUPT:
            return f"{run} takes too long to read; it is damaged or too large. Delete it, or use a copy of it."
        return damaged(self.path)


_TABLES = "SELECT type, name, tbl_name, sql FROM sqlite_schema"


@lru_cache(maxsize=2)
def _expected(with_certificates: bool) -> set[tuple[Any, ...]]:
    """The schema of a run as SQLite writes it down: no view, trigger or generated column of anybody else's."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA + (CERTIFICATES if with_certificates else ""))
        return set(connection.execute(_TABLES).fetchall())


def create(path: Path, meta: dict[str, Any], with_certificates: bool = False) -> None:
    """Write a run's file with nothing done, whole or not at all; whoever was first keeps theirs.

    Args:
        with_certificates: whether it has room for what certificates promise.

    Raises:
        InvalidInput: it cannot be written there.
    """
    partial = path.with_name(f"{path.stem}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(partial)
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.executescript(SCHEMA + (CERTIFICATES if with_certificates else ""))
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        if not os.path.lexists(path):  # else they belong to it
            for left in _leftovers(path):
                left.unlink(missing_ok=True)
        _move(partial, path)
    except (OSError, sqlite3.Error) as error:
        raise InvalidInput(f"The run cannot be kept in {path.parent}: {reason(error)}") from error
    finally:
        with suppress(OSError):  # it could not be made either
            _sweep(partial)


def remove(path: Path) -> None:
    """Delete a run's file and what SQLite or an interrupted start left beside it, also where the file itself is gone.

    Raises:
        OSError: something may not be deleted.
    """
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    for left in _leftovers(path, everything=True):
        left.unlink(missing_ok=True)


def quoted(name: str) -> str:
    """A name from a link or a disk as people can read it: quoted, in one line, and not too long."""
    text = name.encode("utf-8", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def damaged(path: Path) -> str:
    """What to do with a damaged run."""
    return (
        f"The results of {quoted(path.stem)} are damaged; delete them, or put a copy into {path.parent}, and go on. "
        "Other runs are whole."
    )


def _identity(path: Path) -> tuple[int, int]:
    """Device and number of a regular file."""
    try:
        status = path.stat()
    except PermissionError:
        raise InvalidInput(
            f"The run {quoted(path.stem)} may not be read here; ask whoever owns {path.parent}."
        ) from None
    except (OSError, ValueError):  # ValueError: a name with a zero in it
        linked = "; its file is a link to one that is not there" if os.path.islink(path) else ""
        raise InvalidInput(f"There is no run called {quoted(path.stem)}{linked}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(f"{quoted(path.name)} is no file with results; delete it, or move it out of {path.parent}.")
    return status.st_dev, status.st_ino


def _leftovers(path: Path, everything: bool = False) -> list[Path]:
    """What belongs to a file of that name and was left behind; with `everything` also what others are just beginning."""
    beside = [path.with_name(path.name + ending) for ending in _SIDECARS]
    parts = re.compile(rf"{re.escape(path.stem)}\.(\d+)-(\d+)\.part({'|'.join(_SIDECARS)})?")
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        match = parts.fullmatch(other.name)
        if match and (everything or not _at_work(int(match[1]), int(match[2]), other)):
            beside.append(other)
    return [other for other in beside if os.path.lexists(other)]


def _at_work(process: int, thread: int, part: Path) -> bool:
    """Whether whoever made that partial file may still be writing it."""
    if process == os.getpid():
        return any(other.ident == thread for other in threading.enumerate())
    if os.name == "posix":
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # somebody else's process
    try:
        return time.time() - part.stat().st_mtime < 60  # the process number may be another program's by now
    except OSError:
        return False


def _sweep(partial: Path) -> None:
    for ending in ("", *_SIDECARS):
        partial.with_name(partial.name + ending).unlink(missing_ok=True)


def _move(partial: Path, path: Path) -> None:
    """Put a file in its place, whole or not at all; whoever did so in the meantime, and may be writing into theirs, was first."""
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # no links on this disk
        if not os.path.lexists(path):
            partial.replace(path)
