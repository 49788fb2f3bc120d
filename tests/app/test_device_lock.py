"""Turns on the device: who comes when, and that nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.runtime.device_lock import EVALUATION, INTERACTIVE, DeviceLock


def worker(
    lock: DeviceLock, rank: int, name: str, log: list[str], steps: int, cancelled: Callable[[], bool] = lambda: False
) -> threading.Thread:
    """A thread that computes so many steps in its turn and hands over after each."""

    def work() -> None:
        with lock.turn(rank, name, cancelled) as got:
            for _ in range(steps if got else 0):
                log.append(name)
                lock.hand_over()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waiting(lock: DeviceLock, count: int) -> None:
    while len(lock._waiting) < count:
        time.sleep(0.005)


def ran(ranks: dict[str, int], steps: int, overdue: float = 1e9) -> list[str]:
    """The order in which the steps of these workers were computed, who queued in this order behind somebody else."""
    lock, log = DeviceLock(quantum=0, overdue=overdue), list[str]()
    with lock.turn(INTERACTIVE, "the first"):
        threads = []
        for count, (name, rank) in enumerate(ranks.items(), 1):
            threads.append(worker(lock, rank, name, log, steps))
            waiting(lock, count)
    for thread in threads:
        thread.join(10)
    return log


def test_equal_work_takes_turns_step_by_step() -> None:
    assert ran({"a": INTERACTIVE, "b": INTERACTIVE}, 3) == ["a", "b"] * 3


def test_interactive_work_comes_before_an_evaluation() -> None:
    assert ran({"evaluation": EVALUATION, "a": INTERACTIVE}, 2) == ["a", "a", "evaluation", "evaluation"]


def test_an_evaluation_hands_over_at_its_next_step() -> None:
    lock, log = DeviceLock(quantum=0), list[str]()
    with lock.turn(EVALUATION, "an evaluation"):
        log.append("evaluation")
        thread = worker(lock, INTERACTIVE, "a", log, 2)
        waiting(lock, 1)
        lock.hand_over()
        log.append("evaluation")
    thread.join(10)
    assert log == ["evaluation", "a", "a", "evaluation"]


def test_who_waited_too_long_comes_first() -> None:
    assert ran({"evaluation": EVALUATION, "a": INTERACTIVE}, 2, overdue=0)[0] == "evaluation"


def test_who_is_cancelled_while_waiting_gets_no_turn() -> None:
    lock, log, cancel = DeviceLock(), list[str](), threading.Event()
    with lock.turn(INTERACTIVE, "the first"):
        thread = worker(lock, INTERACTIVE, "a", log, 1, cancel.is_set)
        waiting(lock, 1)
        cancel.set()
        thread.join(5)
        assert not thread.is_alive() and log == []
        assert lock.computing() == "the first"
    assert lock.computing() == ""


def test_a_thread_without_a_turn_goes_on_at_once() -> None:
    lock = DeviceLock(quantum=0)
    assert lock.hand_over() == 0.0
    with lock.turn(INTERACTIVE, "the first"):
        thread = threading.Thread(target=lock.hand_over)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
