"""Trainings as processes of their own: started, watched, stopped, resumed, killed, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from core import InvalidInput, domains
from core.models import artifacts
from core.models.architectures import ARCHITECTURES
from core.plugins import load_plugins
from core.training import runs, train
from core.training.recorder import Recorder
from core.training.run_status import Status, write_status
from tests.core.training.tiny import PLUGIN, plan


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, and the tiny architecture in this process and in those that it starts."""
    entries = dict(ARCHITECTURES.entries)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tiny_network.py").write_text(PLUGIN)
    monkeypatch.setenv("MIRAGE_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    load_plugins()
    yield tmp_path
    for run in runs.list_runs():
        if run.status.state == "running":
            runs.stop(run.name)
            wait_for(run.name, lambda found: found.status.state != "running")
    ARCHITECTURES.entries.clear()
    ARCHITECTURES.entries.update(entries)
    sys.modules.pop("mirage_plugin_tiny_network", None)
    monkeypatch.undo()
    load_plugins()


def wait_for(name: str, condition: Callable[[runs.TrainingRun], bool]) -> runs.TrainingRun:
    end = time.monotonic() + 120
    while not condition(run := runs.find_run(name)):
        assert time.monotonic() < end, (run.status, (run.folder / "log.txt").read_text()[-2000:])
        time.sleep(0.05)
    return run


def test_a_run_is_started_watched_stopped_resumed_and_its_result_used_at_once(data: Path) -> None:
    long = plan(epochs=400)
    runs.start(long, owner="me")
    run = wait_for("mnist_tiny", lambda run: run.status.step > 30)
    assert (run.status.state, run.plan, run.owner) == ("running", long, "me")
    assert run.status.steps == 400 * 12 and run.status.seconds_left and run.status.text.startswith("classifier, epoch")
    lines = runs.curves(run)
    assert lines and set(lines[0]) == {"stage", "epoch", "step", "lr", "losses", "metrics"}
    assert runs.samples(run)["training images"].shape == (8, 1, 28, 28)
    with pytest.raises(InvalidInput, match=r"The training 'mnist_tiny' is running; wait until it ends, or stop it\."):
        runs.start(plan(name="mnist_other"))
    with pytest.raises(InvalidInput, match="is running; stop it first"):
        runs.delete("mnist_tiny")
    with pytest.raises(InvalidInput, match="Another process trains in"):
        train(long, device="cpu")
    runs.stop("mnist_tiny")
    stopped = wait_for("mnist_tiny", lambda run: run.status.state == "stopped")
    with pytest.raises(InvalidInput, match="another name, or delete"):
        runs.start(plan(epochs=1))
    before = len(runs.curves(stopped))
    runs.start(long)
    wait_for("mnist_tiny", lambda run: len(runs.curves(run)) > before)
    assert runs.find_run("mnist_tiny").owner == "me"
    runs.stop("mnist_tiny")
    wait_for("mnist_tiny", lambda run: run.status.state == "stopped")
    runs.delete("mnist_tiny")
    assert runs.list_runs() == []
    runs.start(plan(epochs=2))
    done = wait_for("mnist_tiny", lambda run: run.status.state == "done")
    assert done.status.step == done.status.steps > 0
    assert artifacts.find_artifact("classifier", "mnist_tiny").folder == data / "artifacts"
    assert domains.get("mnist").classifier("tiny", "cpu")(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_a_run_that_is_killed_is_interrupted_and_goes_on(data: Path) -> None:
    long = plan(epochs=400)
    runs.start(long)
    run = wait_for("mnist_tiny", lambda run: run.status.step > 30)
    pid = next(
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(run.folder).encode() in (entry / "cmdline").read_bytes()
    )
    os.kill(pid, signal.SIGKILL)
    run = wait_for("mnist_tiny", lambda run: run.status.state == "interrupted")
    epoch = torch.load(run.folder / "checkpoint.pt", weights_only=True)["epoch"]
    runs.start(long)
    run = wait_for("mnist_tiny", lambda run: run.status.step > 30)
    assert runs.curves(run)[-1]["epoch"] > epoch - 1 > 0


def test_what_fails_says_why(data: Path) -> None:
    with pytest.raises(InvalidInput, match="MNIST is not on this machine"):
        train(plan(dataset="mnist"), device="cpu")
    run = runs.find_run("mnist_tiny")
    assert run.status.state == "failed" and "MNIST is not on this machine" in run.status.error


def test_names_that_lead_elsewhere_and_names_that_ship_are_refused(data: Path) -> None:
    (data / "training").mkdir()
    (data / "elsewhere").mkdir()
    for name in ("../elsewhere", "..", ".", "", "nothing"):
        for call in (runs.stop, runs.delete, runs.find_run):
            with pytest.raises(InvalidInput, match="There is no training called"):
                call(name)
    with pytest.raises(InvalidInput, match="'mnist_digits' ships with Mirage; give the plan another name"):
        runs.start(plan(name="mnist_digits"))
    with pytest.raises(InvalidInput, match="ships with Mirage"):
        train(plan(name="mnist_digits"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"state": "flying"}',
        '{"state": "running", "step": "x"}',
        '{"text": 1}',
        '{"since": NaN}',
        '{"x": 1}',
        "[" * 5000,
    ],
)
def test_a_damaged_status_is_an_interrupted_run(text: str, data: Path) -> None:
    folder = data / "training" / "x"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(text)
    (folder / "curves.jsonl").write_text('{"losses": {"a": 1}, "epoch": 1}\n[]\n{"losses"')
    (folder / "samples.safetensors").write_bytes(b"\x00" * 40)
    run = runs.list_runs()[0]
    assert run.status == Status("interrupted") and run.plan is None and "cannot be read" in run.problem
    assert runs.curves(run) == [{"losses": {"a": 1}, "epoch": 1}] and runs.samples(run) == {}


def test_a_run_is_noted_as_it_ended(tmp_path: Path) -> None:
    def state() -> Any:
        return json.loads((tmp_path / "status.json").read_text())

    with Recorder(tmp_path):
        pass
    assert state()["state"] == "stopped"
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path):
        raise KeyboardInterrupt
    assert state()["state"] == "stopped"
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path):
        raise ZeroDivisionError("division by zero")
    assert state()["state"] == "failed" and state()["error"] == "ZeroDivisionError: division by zero"
    with Recorder(tmp_path) as recorder:
        assert not recorder.progress("x", 1, 10) and state()["step"] == 1
        (tmp_path / "stop").touch()
        assert recorder.progress("x", 2, 10)
        recorder.finish("good")
    assert (state()["state"], state()["text"]) == ("done", "good")
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(InvalidInput, match="Another process trains in"),
        Recorder(tmp_path),
    ):
        pass
    with Recorder(tmp_path) as recorder:  # the stop of before is forgotten
        assert not recorder.progress("x", 1, 10)


def test_a_run_that_is_stopped_while_it_starts_is_stopped(tmp_path: Path) -> None:
    write_status(tmp_path, Status("running", "starting", updated=time.time()))
    (tmp_path / "stop").touch()
    with Recorder(tmp_path) as recorder:
        assert recorder.progress("x", 1, 10)


def test_the_time_that_is_left_is_told_by_the_pace_of_what_is_done_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1.7e9
    monkeypatch.setattr(time, "time", lambda: now)
    with Recorder(tmp_path) as recorder:
        left = []
        for step, steps in ((0, 200), (100, 200), (50, 100), (60, 100), (80, 100)):  # crafting, then a resumed training
            recorder.progress("x", step, steps)
            left.append(recorder.status.seconds_left)
            now += 10
        assert left == [None, 10, None, 40, pytest.approx(40 / 3)]
