"""Long work in threads of its own: jobs take turns on the device between their steps, and every job can be stopped within one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.runtime.device_lock import EVALUATION, INTERACTIVE, DeviceLock
from app.state.result_keys import AnyKey
from core import images
from core.cancellation import Cancelled, cancellable
from core.evaluate.compute import Stopped
from core.inputs import InvalidInput
from core.progress import OnProgress, Progress

MAX_JOBS = 6  # jobs that take turns; the memory of more would not fit, so that they wait until one ends
INLINE_WAIT = 0.45  # seconds to wait for a result before progress is shown instead

log = logging.getLogger("mirage")

T = TypeVar("T")


@dataclass
class Job:
    """One piece of long work. The worker writes into it; screens only read it, and set `cancel`."""

    key: AnyKey  # what the result will be stored under
    text: str
    state: Literal["queued", "running", "done", "failed"] = "queued"
    done: int = 0
    total: int = 1
    started_at: float = field(default_factory=time.monotonic)
    done_at_start: int = 0  # what was done when this part of the work began
    frame: npt.NDArray[np.uint8] | None = None  # the newest image
    loss: float | None = None  # the attacker's objective at the newest step
    predicted: tuple[int, float] | None = None  # the class that the classifier sees there, and its confidence
    first_success: int | None = None  # the first step at which the classifier was fooled
    unit: str = ""
    result: Any = None
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def is_alive(self) -> bool:
        return not self.finished.is_set()

    @property
    def eta(self) -> float | None:
        """Seconds still to go at the pace of the part at hand; None where nobody can tell."""
        spent, done = time.monotonic() - self.started_at, self.done - self.done_at_start
        return spent / done * (self.total - self.done) if done and self.state == "running" else None

    def report(self, progress: Progress) -> bool:
        """Take note of the progress; True once somebody pressed Stop."""
        if progress.text != self.text or progress.done < self.done:
            self.started_at, self.done_at_start, self.first_success = time.monotonic(), progress.done, None
        self.text, self.done, self.total = progress.text, progress.done, progress.total
        if progress.step is not None:
            confidence, number = progress.step.logits[0].detach().float().softmax(0).max(0)
            self.loss, self.predicted = float(progress.step.loss[0]), (int(number), float(confidence))
            self.frame = images.to_pixels(progress.step.images)[0]
            if self.first_success is None and bool(progress.step.fooled[0]):
                self.first_success = progress.step.number
        self.started_at += _device().hand_over()  # a pause says nothing of the pace
        return self.cancel.is_set()


Work = Callable[[OnProgress], Any]  # takes the callback to report to, and stops when that returns True


@st.cache_resource(show_spinner=False)
def _device() -> DeviceLock:
    return DeviceLock()


@st.cache_resource(show_spinner=False)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_JOBS, thread_name_prefix="job")


@st.cache_resource(show_spinner=False)
def _network() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="network")


def _stop_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.cancel.set()


@st.cache_resource(scope="session", show_spinner=False, on_release=_stop_all)
def _user_jobs() -> list[Job]:
    """This user's jobs; when the user leaves, they are stopped."""
    return []


def submit(key: AnyKey, text: str, work: Work, *, network: bool = False) -> Job:
    """Queue `work`, which gets a function to report to and stops when that returns True; a download waits for no attack."""
    job = Job(key, text, unit=" MB" if network else "")
    user_jobs = _user_jobs()
    user_jobs[:] = [*(other for other in user_jobs if other.is_alive), job]
    if network:
        _network().submit(_run, job, work)
    else:
        _threads().submit(_run_in_turn, job, work)
    return job


def run_on_device(work: Callable[[], T], cancelled: Callable[[], bool] = lambda: False) -> T:
    """Compute a part of an evaluation when its turn on the device comes; `hand_over` between its steps lets others compute.

    Raises:
        Stopped: it was cancelled before its turn came.
    """
    with _device().turn(EVALUATION, "an evaluation is running", cancelled) as acquired:
        if not acquired:
            raise Stopped
        return work()


def hand_over() -> None:
    """Let others use the device between two steps, if others wait."""
    _device().hand_over()


def computing() -> str:
    """What the device is busy with, as the end of a sentence; empty where it is free."""
    return _device().computing()


def _run_in_turn(job: Job, work: Work) -> None:
    with _device().turn(INTERACTIVE, f"another job is running ({job.text})", job.cancel.is_set) as acquired:
        if acquired:
            _run(job, work)
        else:
            job.finished.set()


def _run(job: Job, work: Work) -> None:
    if job.cancel.is_set():
        job.finished.set()
        return
    job.state, job.started_at = "running", time.monotonic()
    try:
        with cancellable(job.cancel.is_set):
            job.result = work(job.report)
        job.state = "done"
    except Cancelled:
        job.state = "done"  # without a result
    except InvalidInput as error:
        job.error, job.state = str(error), "failed"
    except (
        Exception
    ):  # broad: nobody reads the future of the thread, so any other error would be lost, and the page wait for ever
        if not job.cancel.is_set():  # else nobody waits for it: the user has left, or the server is being stopped
            log.exception("A job failed: %s", job.text)
        job.error = "Something went wrong inside Mirage; the details are in the server's log. Try again."
        job.state = "failed"
    finally:
        job.finished.set()
