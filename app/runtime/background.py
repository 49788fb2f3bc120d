"""The user's background work: one computation and one download at a time, what was not run and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import streamlit as st

from app.runtime import jobs
from app.runtime.jobs import Job
from app.state import results, session
from app.state.result_keys import AnyKey, Kind, ResultKey, device_name
from core.progress import OnProgress, Progress
from core.recipe import cost

Blocked = Literal["stopped", "failed", "asked", "refused"]


def start(key: AnyKey, text: str, work: jobs.Work, *, seconds: float = 0.0) -> None:
    """Begin work whose result is kept under `key`; whatever else this user had running is stopped.

    Work that will take long, about `seconds` on a processor, waits until the user says so; what would take too long is not begun.
    """
    poll_jobs()
    if blocked(key) or results.get(key) is not None:
        return  # it is blocked, or it ended between the last look and this run
    attack_outcome = None if key.attacked is None else results.get(key.attacked)
    if attack_outcome is not None and attack_outcome.stopped and key not in _approved():
        _blocked()[key] = "stopped"  # what is built on the attack does not begin by itself
        return
    running = current_job()
    if running is not None and running.is_alive:
        if running.key == key:
            return
        running.cancel.set()
    cached = results.shared_cache().get(key)
    if cached is not None:
        results.put(key, cached)
        return
    estimate = cost.on_device(seconds, device_name())
    if estimate > cost.ASK and (estimate > cost.most() or key not in _approved()):
        _blocked()[key] = "refused" if estimate > cost.most() else "asked"
        st.session_state.setdefault("estimated_seconds", {})[key] = estimate
        return
    st.session_state.job = started = jobs.submit(key, text, work)
    started.finished.wait(jobs.INLINE_WAIT)  # short work needs no progress bar
    poll_jobs()


def start_download(key: ResultKey[bool], text: str, fetch: Callable[[OnProgress], object]) -> None:
    """Begin a download beside whatever computes; one at a time for each user.

    Args:
        fetch: takes the callback that it calls with the bytes done, of all. The job shows them in MB, under `text`.
    """
    running: Job | None = st.session_state.get("download")
    if blocked(key) or (running is not None and running.is_alive and running.key == key):
        return
    if running is not None:
        running.cancel.set()

    def work(on_progress: OnProgress) -> bool:
        fetch(lambda part: on_progress(Progress(text, round(part.done / 1e6), round(part.total / 1e6))))
        return True

    st.session_state.download = jobs.submit(key, text, work, network=True)
    st.session_state.download.finished.wait(jobs.INLINE_WAIT)
    poll_jobs()


def current_job() -> Job | None:
    job: Job | None = st.session_state.get("job")
    return job


def poll_jobs() -> list[AnyKey]:
    """Store the results of jobs that have ended, and say whose they are. A failure is reported at once."""
    keys: list[AnyKey] = []
    ended = [slot for slot in ("job", "download") if slot in st.session_state and not st.session_state[slot].is_alive]
    failed = False
    for slot in ended:
        finished: Job = st.session_state.pop(slot)
        keys.append(finished.key)
        if finished.cancel.is_set():
            _blocked()[finished.key] = "stopped"
        elif finished.result is None:
            _blocked()[finished.key] = "failed"
        if finished.result is not None:
            results.put(finished.key, finished.result)
            if slot == "job" and not finished.cancel.is_set():  # a stopped job has half a result
                results.shared_cache().put(finished.key, finished.result)
        elif finished.error:
            session.report_error(finished.error)
            failed = True
    if failed:
        session.show_new_error()
    return keys


def ask_rerun() -> None:
    """Have the page run again as soon as this run has ended: at once, what the user pressed further down would be lost."""
    st.session_state.rerun_asked = True


def rerun_if_asked() -> None:
    """Run the page again where this run asked for it."""
    if st.session_state.pop("rerun_asked", False):
        st.rerun()


def _approved() -> set[AnyKey]:
    """The work that the user asked for, and not only a link."""
    approved: set[AnyKey] = st.session_state.setdefault("approved", set())
    return approved


def _blocked() -> dict[AnyKey, Blocked]:
    blocked: dict[AnyKey, Blocked] = st.session_state.setdefault("blocked", {})
    return blocked


def blocked(key: AnyKey) -> Blocked | None:
    """Why the work of that key does not begin by itself: it was stopped, it failed, it would take long, or too long."""
    return _blocked().get(key)


def estimated_seconds(key: AnyKey) -> float:
    """About how many seconds the work of that key will take, where it was not begun because of that."""
    return float(st.session_state.get("estimated_seconds", {}).get(key, 0.0))


def invalidate(key: AnyKey) -> None:
    """Drop a result, so that it is computed anew, however long that takes: the user asks for it."""
    results.results().pop(key, None)
    _approved().add(key)
    if key.kind is Kind.ATTACK:
        _blocked().clear()  # what was built on it may begin again
    _blocked().pop(key, None)
    st.session_state.pop("error_message", None)
