"""Downloads from a server on this machine, and into folders that cannot take them."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.fetching import RemoteFile, download
from core.inputs import InvalidInput
from core.progress import Progress

CONTENT = bytes(range(256)) * 2000  # 512 kB


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server with /file, /slow (a little now and then) and /stalled (half a file, then nothing)."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in ("/file", "/slow", "/stalled"):
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if self.path == "/file":
                self.wfile.write(CONTENT)
                return None
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
            while not closing.wait(0.05):
                if self.path == "/slow":
                    self.wfile.write(b"x")
            return None

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    closing.set()
    httpd.shutdown()
    httpd.server_close()


def md5() -> str:
    return hashlib.md5(CONTENT).hexdigest()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_arrives_whole_is_unpacked_and_counts_to_its_end(server: str, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "data.bin"
    reports: list[Progress] = []
    unpacked: list[bytes] = []

    file = RemoteFile([f"{server}/file"], path, md5())
    download([file], tmp_path, len(CONTENT), "MNIST", reports.append, unpack=lambda: unpacked.append(path.read_bytes()))
    assert unpacked == [CONTENT] and files_in(tmp_path) == [path]
    assert reports[-1] == Progress("MNIST", len(CONTENT), len(CONTENT))


def test_the_next_address_is_tried_and_a_file_that_is_there_is_not_downloaded_again(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.bin"
    download([RemoteFile([f"{server}/gone", f"{server}/file"], path, md5())], tmp_path, 1, "MNIST", None)
    assert path.read_bytes() == CONTENT
    download([RemoteFile([f"{server}/gone"], path, md5())], tmp_path, 1, "MNIST", None)


@pytest.mark.parametrize("wrong", [{"md5": "0" * 32}, {"sha256_prefix": "00000000"}])
def test_a_file_with_another_hash_is_not_kept(server: str, tmp_path: Path, wrong: dict[str, str]) -> None:
    file = RemoteFile([f"{server}/file"], tmp_path / "data.bin", **wrong)
    with pytest.raises(InvalidInput, match=r"MNIST could not be downloaded \(ValueError\)"):
        download([file], tmp_path, len(CONTENT), "MNIST", None)
    assert files_in(tmp_path) == []


def test_the_first_digits_of_a_hash_are_enough(server: str, tmp_path: Path) -> None:
    prefix = hashlib.sha256(CONTENT).hexdigest()[:8]
    download([RemoteFile([f"{server}/file"], tmp_path / "net.pth", None, prefix)], tmp_path, 1, "The weights", None)
    assert files_in(tmp_path) == [tmp_path / "net.pth"]


@pytest.mark.parametrize("way", ["slow", "stalled"])
def test_a_stop_ends_the_download_within_a_second_and_leaves_nothing(server: str, tmp_path: Path, way: str) -> None:
    before, asked = threading.active_count(), 0.0
    unpacked: list[int] = []

    def on_progress(progress: Progress) -> bool:
        nonlocal asked
        asked = time.perf_counter() if progress.done else 0.0
        return progress.done > 0

    file = RemoteFile([f"{server}/{way}"], tmp_path / "data.bin", md5())
    with pytest.raises(InvalidInput, match="The download of MNIST was stopped"):
        download([file], tmp_path, len(CONTENT), "MNIST", on_progress, unpack=lambda: unpacked.append(1))
    while files_in(tmp_path) and time.perf_counter() - asked < 1:
        time.sleep(0.02)
    assert time.perf_counter() - asked < 1
    assert files_in(tmp_path) == [] and unpacked == []
    while any(thread.name.startswith("download") for thread in threading.enumerate()):
        assert time.perf_counter() - asked < 1
        time.sleep(0.02)
    assert threading.active_count() <= before + 1  # the server's own, which is still sending


def nothing(path: Path) -> RemoteFile:
    return RemoteFile(["http://127.0.0.1:9/file"], path)  # the port that discards, where nobody listens


@pytest.mark.parametrize("folder", [Path("/proc/nowhere/data"), Path("/dev/null/data"), Path("/dev/null")])
def test_a_folder_that_cannot_be_made_gets_a_sentence(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"MNIST cannot be kept in .*MIRAGE_DATA"):
        download([nothing(folder / "file")], folder, 10, "MNIST", None)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Make it writable"), (errno.EACCES, "writable")],
)
def test_a_disk_that_takes_no_more_is_not_called_a_network(number: int, words: str, tmp_path: Path) -> None:
    def unpack() -> None:
        raise OSError(number, "no")

    with pytest.raises(InvalidInput, match=f"cannot be kept in .*{words}"):
        download([], tmp_path, 10, "MNIST", None, unpack)


def test_a_network_that_fails_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="check the connection"):
        download([nothing(tmp_path / "file")], tmp_path, 10, "MNIST", None)
