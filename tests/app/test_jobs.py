"""Taking turns on the device, downloads beside it, and numbers while an attack runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from app import jobs
from core.attacks import Step
from core.recipe import Progress


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> None:
    device, network = ThreadPoolExecutor(1), ThreadPoolExecutor(2)
    mine: list[jobs.Job] = []
    monkeypatch.setattr(jobs, "_device", lambda: device)
    monkeypatch.setattr(jobs, "_network", lambda: network)
    monkeypatch.setattr(jobs, "_mine", lambda: mine)


@pytest.mark.usefixtures("queues")
def test_visitors_take_turns_and_a_download_waits_for_nobody() -> None:
    release = threading.Event()
    first = jobs.submit("a", "first", lambda watch: release.wait(20))
    second = jobs.submit("b", "second", lambda watch: 2)
    download = jobs.submit("c", "download", lambda watch: 3, network=True)
    assert download.finished.wait(5) and download.result == 3 and download.unit == " MB"
    assert second.state == "queued" and second.left is None
    release.set()
    assert second.finished.wait(5) and second.result == 2
    assert not first.live


@pytest.mark.usefixtures("queues")
def test_who_leaves_stops_everything_of_theirs() -> None:
    def work(watch: object) -> str:
        while not watch(Progress("", 0, 1)):  # type: ignore[operator]
            pass
        return "partial"

    running, queued = jobs.submit("a", "", work), jobs.submit("b", "", work)
    jobs._stop_all(jobs._mine())
    assert running.finished.wait(5) and queued.finished.wait(5)
    assert (running.result, queued.result) == ("partial", None)


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize("left", [False, True])
def test_an_error_is_logged_unless_its_visitor_has_left(left: bool, caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(watch: object) -> None:
        begun.set()
        go_on.wait(5)
        raise RuntimeError("cannot schedule new futures after shutdown")

    job = jobs.submit("a", "PGD", work)
    assert begun.wait(5)
    if left:
        jobs._stop_all(jobs._mine())
    go_on.set()
    assert job.finished.wait(5) and job.state == "failed"
    assert ("A job failed: PGD" in caplog.text) is not left


def test_a_step_leaves_its_picture_and_numbers() -> None:
    job = jobs.Job("key", "PGD")
    logits = torch.tensor([[0.0, 3.0, 0.0]])
    picture = torch.full((1, 3, 4, 4), 51 / 255)
    job.watch(Progress("PGD", 3, 40, Step(3, 40, picture, logits, torch.tensor([0.5]), torch.tensor([True]))))
    assert (job.done, job.total, job.loss) == (3, 40, 0.5)
    assert job.seen is not None and job.seen[0] == 1 and job.seen[1] == pytest.approx(float(logits.softmax(1).max()))
    assert job.frame is not None and (job.frame == 51).all()
