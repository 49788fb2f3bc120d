"""Downloads into a folder that cannot take them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from core.fetching import fetch
from core.inputs import BadInput


@pytest.mark.parametrize("folder", [Path("/proc/nowhere/data"), Path("/dev/null/data"), Path("/dev/null")])
def test_a_folder_that_cannot_be_made_gets_a_sentence(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"MNIST cannot be kept in .*MIRAGE_DATA"):
        fetch(lambda: None, folder, 10, "MNIST", None)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Make it writable"), (errno.EACCES, "writable")],
)
def test_a_disk_that_takes_no_more_is_not_called_a_network(number: int, words: str, tmp_path: Path) -> None:
    def download() -> None:
        raise OSError(number, "no")

    with pytest.raises(BadInput, match=f"cannot be kept in .*{words}"):
        fetch(download, tmp_path, 10, "MNIST", None)


def test_a_network_that_fails_is_called_one(tmp_path: Path) -> None:
    def download() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    with pytest.raises(BadInput, match="check the connection"):
        fetch(download, tmp_path, 10, "MNIST", None)
