"""Work spread over threads: all of it, once, without a graph, and its errors arrive."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from core.progress import Progress
from core.threads import parallel_map


def test_every_item_is_worked_on_once_and_by_several_threads() -> None:
    seen: list[tuple[int, int]] = []

    def work(item: int) -> None:
        time.sleep(0.01)
        seen.append((item, threading.get_ident()))

    parallel_map(work, iter(range(20)))
    assert sorted(item for item, _ in seen) == list(range(20))
    assert len({thread for _, thread in seen}) == torch.get_num_threads() == 2


def test_each_thread_computes_on_one_core() -> None:
    """Otherwise there are as many threads as the square of the cores, which wait for each other."""
    seen: list[int] = []

    def work(item: int) -> None:
        time.sleep(0.01)
        torch.ones(1 << 16).add_(item)
        seen.append(torch.get_num_threads())

    parallel_map(work, range(8))
    assert seen == [1] * 8


def test_one_item_needs_no_other_thread() -> None:
    seen: list[int] = []
    parallel_map(lambda _: seen.append(threading.get_ident()), [0])
    assert seen == [threading.get_ident()]


def test_no_graph_is_kept_in_the_threads_and_the_callers_threads_stay_as_they_were() -> None:
    values = torch.ones(2, requires_grad=True)
    made: list[torch.Tensor] = []
    parallel_map(lambda n: made.append(values[n] * 2), range(2))
    assert not any(one.requires_grad for one in made)
    assert torch.get_num_threads() == 2 and torch.is_grad_enabled()


def test_work_that_spreads_work_does_not_wait_for_itself() -> None:
    seen: list[int] = []
    parallel_map(lambda n: parallel_map(lambda m: seen.append(10 * n + m), range(3)), range(4))
    assert sorted(seen) == [10 * n + m for n in range(4) for m in range(3)]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_results_are_written_in_any_mode(mode: Any) -> None:
    with mode():
        result = torch.zeros(6)
        parallel_map(lambda n: result[n : n + 1].copy_(torch.ones(1)), range(6))
        assert torch.equal(result, torch.ones(6))


def test_an_error_in_a_thread_is_the_callers() -> None:
    def work(item: int) -> None:
        if item == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        parallel_map(work, range(6))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("most", [0, 3])
def test_on_progress_can_stop_and_what_has_not_begun_never_does(threads: int, most: int) -> None:
    begun: list[int] = []
    told: list[Progress] = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.02)

    def on_progress(progress: Progress) -> bool:
        told.append(progress)
        return progress.done == most

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert not parallel_map(work, range(40), text="work", on_progress=on_progress)
        time.sleep(0.2)
        assert told == [Progress("work", done, 40) for done in range(most + 1)]
        assert most <= len(begun) <= most + (2 * threads if most else 0)
        assert parallel_map(work, range(3))
    finally:
        torch.set_num_threads(before)
