"""What all tests share: a bare machine (no datasets, no network), two threads, and the datasets for those that ask."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core import memory

ROOT = Path(__file__).resolve().parents[1]
GIVEN = os.environ.setdefault("MIRAGE_DATA_OF_THE_USER", os.environ.get("MIRAGE_DATA", ""))  # workers inherit it
LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::")


def pytest_configure(config: pytest.Config) -> None:
    empty = tempfile.mkdtemp(prefix="mirage-no-data-")
    config.add_cleanup(lambda: shutil.rmtree(empty, ignore_errors=True))
    os.environ["MIRAGE_DATA"] = empty
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    # One instruction set on every machine: with AVX-512, oneDNN rounds a batch of one otherwise than a batch of many, and where a flat
    # part of an image holds a ReLU near 0, the gradient's sign follows the rounding.
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    torch.set_num_threads(2)
    memory.tune_malloc()  # as the app does


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests that tests/slow.txt names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    slow = set((ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").split())
    left = [item for item in items if item.nodeid.partition("[")[0] in slow]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item.nodeid.partition("[")[0] not in slow]


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """A connection to anything but this machine fails at once, as it does where there is no network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else address
            if host not in LOOPBACK:
                raise OSError(f"the tests run without a network, and this went to {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The datasets, as torchvision's loaders expect them; the test is skipped where there are none."""
    if GIVEN and Path(GIVEN).is_dir() and any(Path(GIVEN).iterdir()):
        return Path(GIVEN)
    source = ROOT.parent / "shared" / "data" / "unpack.py"
    if not source.exists():
        pytest.skip("no datasets: point MIRAGE_DATA at them")
    target = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mirage-test-data"
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:  # several workers may get here at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".ready").exists():
            subprocess.run([sys.executable, str(source), str(target)], check=True, stdout=subprocess.DEVNULL)
            (target / ".ready").touch()
    return target


@pytest.fixture
def data(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The datasets, with MIRAGE_DATA pointing at them for the length of one test."""
    monkeypatch.setenv("MIRAGE_DATA", str(data_root))
    return data_root
