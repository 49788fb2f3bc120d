"""The compiled loops: not needed to begin with, nor at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
import torch
import core
assert "numba" not in sys.modules, "its import takes a second"
sys.modules["numba"] = None
from core.defenses import Median, TotalVariation
x = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
print(float(Median(window=7)(x).mean()), float(TotalVariation()(x).mean()))
"""


def test_everything_works_where_numba_is_not_installed() -> None:
    def printed_numbers(program: str) -> list[float]:
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT)
        return [float(word) for word in ended.stdout.split()]

    without, with_it = printed_numbers(WITHOUT), printed_numbers(WITHOUT.replace('sys.modules["numba"] = None', ""))
    assert max(abs(a - b) for a, b in zip(without, with_it, strict=True)) < 1e-5
