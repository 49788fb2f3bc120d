"""Evaluations that run in the background: for the whole process, one at a time, and on when their visitor leaves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import streamlit as st

from app import classifiers, jobs
from core import domains
from core.evaluate import Advance, Plan, Run, evaluate
from core.evaluate.running import devices_note
from core.evaluate.work import Found
from core.inputs import BadInput
from core.models.classifier import Classifier

log = logging.getLogger("mirage")


@dataclass
class Running:
    """One evaluation at work. Its thread writes into it; screens only read it, and set `cancel`."""

    name: str
    advance: Advance | None = None
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)


@st.cache_resource(show_spinner=False)
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="evaluation")


@st.cache_resource(show_spinner=False)
def _all() -> dict[str, Running]:
    return {}


def running(name: str) -> Running | None:
    """The evaluation of that name, if it is at work or was in this process."""
    return _all().get(name)


def start(plan: Plan, device: str) -> Running:
    """Begin an evaluation, or go on with it where it stopped; it goes on when the visitor leaves.

    Raises:
        BadInput: data are missing, or its file is damaged.
    """
    plan = plan.resolved()
    held = _all().get(plan.name)
    if held is not None and not held.finished.is_set():
        return held
    Run.create(plan, devices_note(device)).close()
    made = _all()[plan.name] = Running(plan.name)
    shelf, root = classifiers.shelf(), str(domains.data_root())

    def load(name: str) -> Classifier:
        return shelf.load((plan.domain, name, device, root))

    _worker().submit(_work, made, plan, load, jobs.turn)
    return made


def _work(
    made: Running, plan: Plan, load: Callable[[str], Classifier], turn: Callable[[Callable[[], Found]], Found]
) -> None:
    def watch(advance: Advance) -> bool:
        made.advance = advance
        return made.cancel.is_set()

    try:
        with Run.create(plan, "") as run:
            evaluate(run, classifiers=load, watch=watch, turn=turn)
    except BadInput as error:
        made.error = str(error)
    except Exception:
        log.exception("An evaluation failed: %s", made.name)
        made.error = "Something went wrong inside Mirage; the details are in the server's log. What was done is kept."
    finally:
        made.finished.set()
