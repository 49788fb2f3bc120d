"""Downloads that are checked, report how far they are and can be given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.disk import about_the_disk, reason
from core.inputs import InvalidInput
from core.progress import OnProgress, Progress

CHUNK = 1 << 16  # bytes
INTERVAL = 0.3  # seconds between two reports


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        urls: where it lies; they are tried in turn.
        path: where it is kept. A file there that has the hash is not downloaded again.
        md5: its hash, where it is published.
        sha256_prefix: the first digits of its hash, where only they are published.
    """

    urls: Sequence[str]
    path: Path
    md5: str | None = None
    sha256_prefix: str = ""


class _Stopped(Exception):
    """The download was given up."""


def download(
    remote: Sequence[RemoteFile],
    folder: Path,
    total: int,
    what: str,
    on_progress: OnProgress | None,
    unpack: Callable[[], object] = lambda: None,
) -> None:
    """Download the files and unpack them.

    A file appears under its name when it is whole and has the right hash; of one that was stopped nothing stays.

    Args:
        folder: what the files are kept under. total: bytes of all files. what: names them in sentences.
        on_progress: called several times a second with `what` and how many bytes are done, of `total`; returns True to stop.
        unpack: run when the files are there.

    Raises:
        InvalidInput: the download failed, was stopped, or cannot be kept there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{what} cannot be kept in {folder}: {reason(error)}") from error
    transfer = _Transfer()
    failure: list[Exception] = []

    def work() -> None:
        try:
            for file in remote:
                transfer.fetch(file)
            unpack()
        except Exception as error:
            failure.append(error)

    # A thread of its own: a server that sends nothing would keep this one from being asked to stop.
    worker = threading.Thread(target=work, name="download", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(INTERVAL)
        if on_progress is not None and on_progress(Progress(what, min(transfer.done, total), total)):
            transfer.stop()
            worker.join(INTERVAL)
            raise InvalidInput(f"The download of {what} was stopped.")
    if failure and isinstance(failure[0], OSError) and about_the_disk(failure[0]):
        raise InvalidInput(f"{what} cannot be kept in {folder}: {reason(failure[0])}") from failure[0]
    if failure:
        raise InvalidInput(
            f"{what} could not be downloaded ({type(failure[0]).__name__}); check the connection and try again. "
            "The photographs work without a network."
        ) from failure[0]


class _Transfer:
    """Files on their way, one after another; also what pooch calls a progress bar."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.total = 0  # set by pooch: bytes of the file on its way, 0 where the server does not tell
        self.before = self.current = 0  # bytes of the files that are here, and of the one on its way
        self.response: Any = None

    @property
    def done(self) -> int:
        return self.before + self.current

    def fetch(self, file: RemoteFile) -> None:
        import pooch  # here: it takes a while to import, and most never download

        pooch.get_logger().setLevel("WARNING")
        known_hash = None if file.md5 is None else f"md5:{file.md5}"
        for number, url in enumerate(file.urls, 1):
            try:
                pooch.retrieve(url, known_hash, file.path.name, file.path.parent, downloader=self._downloader(file))
            except Exception as error:
                self.current = 0
                if number == len(file.urls) or self.stopped.is_set() or about_the_disk(error):
                    raise
            else:
                break
        self.before, self.current = self.before + file.path.stat().st_size, 0

    def _downloader(self, file: RemoteFile) -> Callable[..., None]:
        import pooch

        # The hash is of the file as it is kept, so no server may pack it for the way.
        headers = {"Accept-Encoding": "identity"}
        get = pooch.HTTPDownloader(progressbar=self, chunk_size=CHUNK, headers=headers, hooks={"response": self._begin})

        def checked(url: str, output_file: str, pooch_: Any, **options: Any) -> None:
            get(url, output_file, pooch_, **options)
            if not pooch.file_hash(output_file, "sha256").startswith(file.sha256_prefix):
                raise ValueError(f"{url} has another hash than was published.")

        return checked

    def _begin(self, response: Any, *_: Any, **__: Any) -> None:
        self.response = response
        self._check()

    def update(self, count: int) -> None:
        """Called by pooch after each chunk is written."""
        self._check()
        self.current += count

    def reset(self) -> None:
        """Called by pooch at the end, before `update` with the file's size."""
        self.current = 0

    def close(self) -> None:
        """Called by pooch at the end."""

    def stop(self) -> None:
        """Give up, also where the server sends nothing at the moment."""
        self.stopped.set()
        if self.response is not None:
            with suppress(Exception):  # it may have come to its end meanwhile
                self.response.raw.shutdown()

    def _check(self) -> None:
        if self.stopped.is_set():
            raise _Stopped
