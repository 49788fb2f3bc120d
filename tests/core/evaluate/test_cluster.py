"""The same evaluation on Ray: the same numbers, and a worker that dies costs nothing but time."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.evaluate.cluster import distribute
from core.evaluate.plan import Plan
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from core.evaluate.tasks import tasks
from core.inputs import InvalidInput
from core.recipe import Method
from tests.core.evaluate.stored_runs import content

PLAN = Plan(
    domain="mnist",
    classifiers=("cnn",),
    n_images=24,
    batch=4,
    attacks=(
        Method(name="pgd", params={"eps": "40/255", "steps": 5}),
        Method(name="universal_patch", params={"steps": 3}),
    ),
    target="3",
    defenses=((Method(name="median"),),),
    detectors=(Method(name="feature_squeezing"),),
)


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    """The address "auto" is any cluster on this machine, another test's too."""
    fcntl = pytest.importorskip("fcntl")
    with (Path(tempfile.gettempdir()) / "mirage-tests-ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The plan without Ray, on as many threads as a worker has."""
    run = RunStore.create(PLAN, "cpu", tmp_path_factory.mktemp("alone") / "run.sqlite")
    torch.set_num_threads(1)
    try:
        assert evaluate(run, device="cpu")
    finally:
        torch.set_num_threads(2)
    return run


def test_two_workers_find_the_same_though_one_is_killed(alone: RunStore, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is optional: install requirements-ray.txt")
    killed: list[int] = []

    def kill() -> None:
        """End one worker, as soon as one computes."""
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for process in Path("/proc").iterdir():
                try:
                    words = (process / "cmdline").read_bytes()
                    if process.name.isdecimal() and b"ray::_compute" in words:
                        os.kill(int(process.name), signal.SIGKILL)
                        killed.append(int(process.name))
                        break
                except OSError:
                    continue
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    with RunStore.create(PLAN, "cpu", tmp_path / "ray.sqlite") as run:
        if Path("/proc").is_dir():
            killer.start()
        seen = []
        assert distribute(run, "local", workers=2, on_progress=lambda advance: seen.append(advance.done) and False)
        assert seen[-1] == len(list(tasks(PLAN))) == len(run.done())
        assert content(run) == content(alone)
    if killer.ident is not None:
        killer.join()
        assert killed


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "auto"])
def test_an_address_without_a_cluster_gets_a_sentence(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is optional: install requirements-ray.txt")
    with (
        RunStore.create(PLAN, "cpu", tmp_path / "r.sqlite") as run,
        pytest.raises(InvalidInput, match="no Ray cluster at"),
    ):
        distribute(run, address)


def test_without_ray_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with (
        RunStore.create(PLAN, "cpu", tmp_path / "r.sqlite") as run,
        pytest.raises(InvalidInput, match="requirements-ray"),
    ):
        distribute(run, "local")
