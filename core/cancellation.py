"""Cooperative cancellation: long work asks at short intervals whether it should stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_should_stop: ContextVar[Callable[[], bool] | None] = ContextVar("should_stop", default=None)


class Cancelled(Exception):
    """The work was asked to stop; what it had finished before is still good."""


@contextmanager
def cancellable(should_stop: Callable[[], bool]) -> Iterator[None]:
    """Let the work inside stop within a step, as soon as `should_stop` is True.

    The setting belongs to this thread and to the threads of `core.threads.parallel_map` that work for it. Inside another
    `cancellable`, either of the two stops the work.

    Args:
        should_stop: asked often, also from other threads; it must be cheap. `threading.Event.is_set` is one.
    """
    outer = _should_stop.get()
    both = should_stop if outer is None else lambda: should_stop() or outer()
    token = _should_stop.set(both)
    try:
        yield
    finally:
        _should_stop.reset(token)


@contextmanager
def uncancellable() -> Iterator[None]:
    """Let the short work inside come to its end: what was found is judged after a stop, too."""
    token = _should_stop.set(None)
    try:
        yield
    finally:
        _should_stop.reset(token)


def check() -> None:
    """Go on, or stop here if this work should stop.

    Raises:
        Cancelled: it should.
    """
    should_stop = _should_stop.get()
    if should_stop is not None and should_stop():
        raise Cancelled
