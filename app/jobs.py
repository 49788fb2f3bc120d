"""Long work: one worker computes for the whole process, so that visitors take turns on the device; every job can be stopped."""

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

from core import images
from core.inputs import BadInput
from core.recipe import Progress

PATIENCE = 0.45  # seconds to wait for a result before progress is shown instead

log = logging.getLogger("mirage")

T = TypeVar("T")


@dataclass
class Job:
    """One piece of long work. The worker writes into it; screens only read it, and set `cancel`."""

    key: str  # what the result will be kept under
    text: str
    state: Literal["queued", "running", "done", "failed"] = "queued"
    done: int = 0
    total: int = 1
    began: float = field(default_factory=time.monotonic)
    frame: npt.NDArray[np.uint8] | None = None  # the newest picture
    loss: float | None = None  # the attacker's objective at the newest step
    seen: tuple[int, float] | None = None  # the class that the classifier sees there, and its confidence
    fooled: int | None = None  # the first step at which the classifier was fooled
    unit: str = ""
    result: Any = None
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def live(self) -> bool:
        return not self.finished.is_set()

    @property
    def left(self) -> float | None:
        """Seconds still to go at the pace so far; None where nobody can tell."""
        spent = time.monotonic() - self.began
        return spent / self.done * (self.total - self.done) if self.done and self.state == "running" else None

    def watch(self, progress: Progress) -> bool:
        """Take note of the progress; True once somebody pressed Stop."""
        if progress.text != self.text or progress.done < self.done:
            self.began, self.fooled = time.monotonic(), None
        self.text, self.done, self.total = progress.text, progress.done, progress.total
        if progress.step is not None:
            share, number = progress.step.logits[0].detach().float().softmax(0).max(0)
            self.loss, self.seen = float(progress.step.loss[0]), (int(number), float(share))
            self.frame = images.to_pixels(progress.step.images)[0]
            if self.fooled is None and bool(progress.step.fooled[0]):
                self.fooled = progress.step.number
        return self.cancel.is_set()


Work = Callable[[Callable[[Progress], bool]], Any]


@st.cache_resource(show_spinner=False)
def _device() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="device")


@st.cache_resource(show_spinner=False)
def _network() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="network")


def _stop_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.cancel.set()


@st.cache_resource(scope="session", show_spinner=False, on_release=_stop_all)
def _mine() -> list[Job]:
    """This visitor's jobs; when the visitor leaves, they are stopped."""
    return []


def submit(key: str, text: str, work: Work, *, network: bool = False) -> Job:
    """Queue `work`, which gets a function to report to and stops when that returns True; a download waits for no attack."""
    job = Job(key, text, unit=" MB" if network else "")
    mine = _mine()
    mine[:] = [*(other for other in mine if other.live), job]
    (_network() if network else _device()).submit(_run, job, work)
    return job


def turn(work: Callable[[], T]) -> T:
    """Compute something short when its turn on the device comes, and wait for it: long work in many pieces lets others between."""
    return _device().submit(work).result()


def _run(job: Job, work: Work) -> None:
    if job.cancel.is_set():
        job.finished.set()
        return
    job.state, job.began = "running", time.monotonic()
    try:
        job.result = work(job.watch)
        job.state = "done"
    except BadInput as error:
        job.error, job.state = str(error), "failed"
    except Exception:
        if (
            not job.cancel.is_set()
        ):  # else nobody waits for it any more: the visitor has left, or the server is being stopped
            log.exception("A job failed: %s", job.text)
        job.error, job.state = (
            "Something went wrong inside Mirage; the details are in the server's log. Try again.",
            "failed",
        )
    finally:
        job.finished.set()
