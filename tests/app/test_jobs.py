"""Taking turns on the device, downloads beside it, and numbers while an attack runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from app.runtime import jobs
from app.runtime.device_lock import INTERACTIVE, DeviceLock
from app.state.result_keys import data_set
from core.attacks import Step
from core.cancellation import check
from core.evaluate.compute import Stopped
from core.progress import OnProgress, Progress


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> None:
    device, threads, network = DeviceLock(quantum=0), ThreadPoolExecutor(jobs.MAX_JOBS), ThreadPoolExecutor(2)
    mine: list[jobs.Job] = []
    monkeypatch.setattr(jobs, "_device", lambda: device)
    monkeypatch.setattr(jobs, "_threads", lambda: threads)
    monkeypatch.setattr(jobs, "_network", lambda: network)
    monkeypatch.setattr(jobs, "_user_jobs", lambda: mine)


@pytest.mark.usefixtures("queues")
def test_users_take_turns_and_a_download_waits_for_nobody() -> None:
    release = threading.Event()
    first = jobs.submit(data_set("a"), "first", lambda on_progress: release.wait(20))
    while first.state != "running":
        time.sleep(0.005)
    second = jobs.submit(data_set("b"), "second", lambda on_progress: 2)
    download = jobs.submit(data_set("c"), "download", lambda on_progress: 3, network=True)
    assert download.finished.wait(5) and download.result == 3 and download.unit == " MB"
    assert second.state == "queued" and second.eta is None
    assert jobs.computing() == "another job is running (first)"
    release.set()
    assert second.finished.wait(5) and second.result == 2
    assert first.finished.wait(5)


@pytest.mark.usefixtures("queues")
def test_short_work_passes_between_the_steps_of_long_work() -> None:
    short: list[jobs.Job] = []

    def long(on_progress: OnProgress) -> int:
        for step in range(1000):
            on_progress(Progress("long", step, 1000))
            if step == 3:
                short.append(jobs.submit(data_set("b"), "short", lambda on_progress: 2))
                while not jobs._device()._waiting:
                    time.sleep(0.005)
            if short and not short[0].is_alive:
                return step
        return -1

    job = jobs.submit(data_set("a"), "long", long)
    assert job.finished.wait(20) and job.result == 4, "the short job ends before the long one's next step"
    assert short[0].result == 2


@pytest.mark.usefixtures("queues")
def test_a_job_passes_between_the_steps_of_an_evaluation_and_a_pause_is_no_pace() -> None:
    order: list[str] = []

    def part() -> str:
        job = jobs.submit(data_set("a"), "short", lambda on_progress: order.append("short"))
        while not jobs._device()._waiting:
            time.sleep(0.005)
        assert job.is_alive
        jobs.hand_over()
        order.append("part")
        return "found"

    assert jobs.run_on_device(part) == "found" and order == ["short", "part"]
    with pytest.raises(Stopped), jobs._device().turn(INTERACTIVE, "busy"):
        _elsewhere(lambda: jobs.run_on_device(lambda: None, cancelled=lambda: True))


def _elsewhere(work: Callable[[], None]) -> None:
    """Do it in another thread; what it raises is raised here."""
    with ThreadPoolExecutor(1) as other:
        other.submit(work).result(10)


@pytest.mark.usefixtures("queues")
def test_stop_acts_within_a_step() -> None:
    begun = threading.Event()

    def work(on_progress: OnProgress) -> None:
        begun.set()
        for _ in range(10_000):
            time.sleep(0.001)
            check()

    job = jobs.submit(data_set("a"), "", work)
    assert begun.wait(5)
    job.cancel.set()
    assert job.finished.wait(5) and job.result is None and not job.error


@pytest.mark.usefixtures("queues")
def test_work_of_somebody_who_left_never_begins() -> None:
    begun: list[int] = []
    with jobs._device().turn(INTERACTIVE, "busy"):
        queued = [
            jobs.submit(data_set(str(n)), "", lambda on_progress: begun.append(1)) for n in range(jobs.MAX_JOBS + 3)
        ]
        jobs._stop_all(jobs._user_jobs())
        assert all(job.finished.wait(5) for job in queued)
    assert not begun


@pytest.mark.usefixtures("queues")
def test_who_leaves_stops_everything_of_theirs() -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work(on_progress: object) -> str:
        begun.set()
        stopped.wait(5)  # without a step in between, so that the other job gets no turn
        return "partial" if on_progress(Progress("", 0, 1)) else "whole"  # type: ignore[operator]

    running = jobs.submit(data_set("a"), "", work)
    assert begun.wait(5)
    queued = jobs.submit(data_set("b"), "", work)
    jobs._stop_all(jobs._user_jobs())
    stopped.set()
    assert running.finished.wait(5) and queued.finished.wait(5)
    assert (running.result, queued.result) == ("partial", None)


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize("left", [False, True])
def test_an_error_is_logged_unless_its_user_has_left(left: bool, caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(on_progress: object) -> None:
        begun.set()
        go_on.wait(5)
        raise RuntimeError("cannot schedule new futures after shutdown")

    job = jobs.submit(data_set("a"), "PGD", work)
    assert begun.wait(5)
    if left:
        jobs._stop_all(jobs._user_jobs())
    go_on.set()
    assert job.finished.wait(5) and job.state == "failed"
    assert ("A job failed: PGD" in caplog.text) is not left


def test_a_step_leaves_its_image_and_numbers() -> None:
    job = jobs.Job(data_set("key"), "PGD")
    logits = torch.tensor([[0.0, 3.0, 0.0]])
    image = torch.full((1, 3, 4, 4), 51 / 255)
    job.report(Progress("PGD", 3, 40, Step(3, 40, image, logits, torch.tensor([0.5]), torch.tensor([True]))))
    assert (job.done, job.total, job.loss) == (3, 40, 0.5)
    assert (
        job.predicted is not None
        and job.predicted[0] == 1
        and job.predicted[1] == pytest.approx(float(logits.softmax(1).max()))
    )
    assert job.frame is not None and (job.frame == 51).all()


@pytest.mark.usefixtures("queues")
def test_the_time_left_is_at_the_pace_of_the_part_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    job = jobs.Job(data_set("a"), "first part", state="running")
    for seconds, text, done in ((0, "first part", 0), (1, "first part", 50), (0, "second part", 50)):
        now[0] += seconds
        job.report(Progress(text, done, 100))
    assert job.eta is None, "nothing of the second part is done"
    now[0] += 20
    job.report(Progress("second part", 60, 100))
    assert job.eta == pytest.approx(20 / 10 * 40)
