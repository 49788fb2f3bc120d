"""Evaluations that run in the background: for the whole process, one at a time, and on when their user leaves."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import streamlit as st

from app.runtime import jobs
from app.state import model_cache, owner
from core import domains
from core.evaluate import Plan, RunStore, evaluate, run_index
from core.evaluate.compute import TaskResult
from core.evaluate.running import devices_note
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import Progress

MAX_PER_USER = 5  # evaluations of one user that run or wait
NOT_YOURS = "This evaluation was begun in another browser, which alone can stop it, go on with it or delete it."

log = logging.getLogger("mirage")
_ending = threading.Event()  # the server is being stopped


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncGenerator[dict[str, Any], None]:
    """When the server is stopped, what is at work stops at its next step: it can be gone on with another day."""
    _ending.clear()
    yield {}
    _ending.set()


@dataclass
class RunningEvaluation:
    """One evaluation at work. Its thread writes into it; screens only read it, and ask `stop` to set `cancel`."""

    name: str
    owner: str = ""
    advance: Progress | None = None
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    future: Future[None] | None = None

    @property
    def is_alive(self) -> bool:
        return not self.finished.is_set()


@st.cache_resource(show_spinner=False)
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="evaluation")


@st.cache_resource(show_spinner=False)
def _evaluations() -> dict[str, RunningEvaluation]:
    """The newest of each name, in the order in which they were begun."""
    return {}


@st.cache_resource(show_spinner=False)
def _lock() -> threading.Lock:
    return threading.Lock()


def find(name: str) -> RunningEvaluation | None:
    """The evaluation of that name, if it is at work or was in this process."""
    return _evaluations().get(name)


def is_busy(name: str) -> bool:
    """Whether the evaluation of that name is at work or waits for its turn."""
    evaluation = find(name)
    return evaluation is not None and evaluation.is_alive


def queued_before(evaluation: RunningEvaluation) -> list[RunningEvaluation]:
    """The evaluations that have to end before this one begins."""
    everyone = list(_evaluations().values())
    return (
        [other for other in everyone[: everyone.index(evaluation)] if other.is_alive] if evaluation in everyone else []
    )


def start(plan: Plan, device: str) -> RunningEvaluation:
    """Begin an evaluation, or go on with it where it stopped; it goes on when its user leaves.

    Raises:
        InvalidInput: data are missing, its file is damaged or somebody else's, or too many of this user's wait already.
    """
    plan, mine = plan.resolved(), owner.me()
    with _lock():
        existing = _evaluations().get(plan.name)
        if existing is not None and existing.is_alive:
            return existing
        waiting = sum(other.is_alive and other.owner == mine for other in _evaluations().values())
        if waiting >= MAX_PER_USER:
            raise InvalidInput(f"{waiting} evaluations of yours run or wait already; let one of them end, or stop it.")
        with RunStore.create(plan, devices_note(device), owner=mine) as run:
            if run.owner != mine and run.pending()[0] and not owner.may_manage(run.owner):
                raise InvalidInput(f"{NOT_YOURS} Choose another seed to run your own.")
        _evaluations().pop(plan.name, None)  # its place is behind all others now
        evaluation = _evaluations()[plan.name] = RunningEvaluation(plan.name, mine)
    models, root = model_cache.model_cache(), str(domains.data_root())

    def load(name: str) -> Classifier:
        return models.load((plan.domain, name, device, root))

    evaluation.future = _worker().submit(
        _evaluate, evaluation, plan, load, partial(jobs.run_on_device, cancelled=evaluation.cancel.is_set)
    )
    return evaluation


def stop(evaluation: RunningEvaluation) -> None:
    """Stop an evaluation at its next step, or at once where it only waits; what is done is kept.

    Raises:
        InvalidInput: it is somebody else's.
    """
    if not owner.may_manage(evaluation.owner):
        raise InvalidInput(NOT_YOURS)
    evaluation.cancel.set()
    if evaluation.future is not None and evaluation.future.cancel():
        evaluation.finished.set()


def delete(name: str) -> None:
    """Delete a run for good.

    Raises:
        InvalidInput: it is at work, somebody else's, or may not be deleted.
    """
    with _lock():
        if is_busy(name):
            raise InvalidInput("This evaluation is at work; stop it, then delete it.")
        line = next((line for line in run_index.list_runs() if line.name == name), None)
        if line is not None and not owner.may_manage(line.owner):
            raise InvalidInput(NOT_YOURS)
        run_index.delete(name)


def _evaluate(
    evaluation: RunningEvaluation,
    plan: Plan,
    load: Callable[[str], Classifier],
    turn: Callable[[Callable[[], TaskResult]], TaskResult],
) -> None:
    def should_stop() -> bool:
        """Somebody pressed Stop, or the server ends: what is done is kept, and the run goes on another day."""
        return evaluation.cancel.is_set() or _ending.is_set()

    def on_progress(advance: Progress) -> bool:
        evaluation.advance = advance
        jobs.hand_over()
        return should_stop()

    try:
        if not evaluation.cancel.is_set():
            with RunStore.create(plan, "", owner=evaluation.owner) as run:
                evaluate(run, classifiers=load, on_progress=on_progress, device_lock=turn, should_stop=should_stop)
    except InvalidInput as error:
        evaluation.error = str(error)
    except (
        Exception
    ):  # broad: nobody reads the future of the thread, so any other error would be lost, and the page say nothing
        if not _ending.is_set():  # else the pools take no more work
            log.exception("An evaluation failed: %s", evaluation.name)
        evaluation.error = (
            "Something went wrong inside Mirage; the details are in the server's log. What was done is kept."
        )
    finally:
        evaluation.finished.set()
