"""Downloads that report how far they are and can be given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from core.disk import about_the_disk, reason
from core.inputs import BadInput

Watch = Callable[[int, int], bool | None]  # bytes done, bytes in all; returns True to stop


def fetch(download: Callable[[], object], folder: Path, total: int, what: str, watch: Watch | None) -> None:
    """Run `download` in a thread and report the bytes that arrive in `folder`, against `total`.

    torchvision's loaders print their progress and offer no callback; the growing files tell the same.

    Raises:
        BadInput: the download failed, was stopped, or cannot be kept there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{what} cannot be kept in {folder}: {reason(error)}") from error
    before = _bytes_in(folder)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            download()
        except Exception as error:
            failure.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(0.3)
        if watch is not None and watch(min(_bytes_in(folder) - before, total), total):
            raise BadInput(f"The download of {what} was stopped.")
    if failure and isinstance(failure[0], OSError) and about_the_disk(failure[0]):
        raise BadInput(f"{what} cannot be kept in {folder}: {reason(failure[0])}") from failure[0]
    if failure:
        raise BadInput(
            f"{what} could not be downloaded ({type(failure[0]).__name__}); check the connection and try again. "
            "The photographs work without a network."
        ) from failure[0]


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # a partial file that was renamed while we looked
            continue
    return total
