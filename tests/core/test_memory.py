"""Memory that is used again: never while anything of it lives."""

import gc
import platform
import subprocess
import sys

import pytest
import torch

from core.defenses import Median
from core.memory import LARGEST, _free, empty_like


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    gc.collect()
    _free.clear()


def test_the_memory_of_a_tensor_that_is_gone_is_used_again() -> None:
    like = torch.zeros(2, 3, 40, 50)
    first = empty_like(like)
    place = first.data_ptr()
    assert first.shape == like.shape and first.dtype == like.dtype and first.is_contiguous()
    other = empty_like(like)
    assert other.data_ptr() != place
    del first
    assert empty_like(like).data_ptr() == place


@pytest.mark.parametrize(
    "keep", [lambda t: t[1:], lambda t: t.numpy()[0, 0], lambda t: t.view(-1).detach(), lambda t: t.numpy().T]
)
def test_a_view_keeps_it(keep) -> None:
    like = torch.zeros(2, 3, 40, 50)
    kept = keep(empty_like(like))
    kept[:] = 7
    again = [empty_like(like).fill_(1) for _ in range(3)]
    assert (torch.as_tensor(kept) == 7).all() and len(again) == 3


def test_another_size_or_type_and_huge_ones_get_their_own() -> None:
    del (small := [empty_like(torch.zeros(1, 3, 4, 4))])[:]
    assert empty_like(torch.zeros(1, 3, 4, 5)).shape == (1, 3, 4, 5) and not small
    assert empty_like(torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
    _free.clear()
    empty_like(torch.empty(LARGEST // 4 + 1))
    assert not _free
    for size in range(1, 9):
        empty_like(torch.zeros(size))
    assert len(_free) <= 2


def test_a_defended_image_outlives_the_next() -> None:
    images = torch.rand(2, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    first = Median()(images)
    kept, want = first[1], first[1].clone()
    del first
    for _ in range(3):
        Median()(1 - images)
    assert torch.equal(kept, want)


FAULTS = """
import resource
import torch
from core import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given = faults()
memory.tune_malloc()
faults()
print(given, min(faults() for _ in range(4)))  # the kernel may take pages back meanwhile
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what it sets is glibc's")
def test_a_process_that_keeps_memory_is_given_it_without_clearing() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    given, kept = map(int, ended.stdout.split())
    assert given > 100 and kept < 0.1 * given
