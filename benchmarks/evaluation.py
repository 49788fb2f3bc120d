"""How an evaluation grows with its images: peak memory, time, and how long the device waited for images or for the disk.

    python -m benchmarks.evaluation [--counts 100 1000 10000] [--domain mnist] [--attack fgsm] [--threads 2]

Every count runs in a process of its own. Memory is the process's peak; what it had before the first unit stands beside it. The
device waits whenever no unit is being computed. There is no peer: no other library keeps and resumes such a run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.filters import processor
from core import domains
from core.evaluate import Plan, RunStore, evaluate
from core.evaluate.compute import TaskResult
from core.recipe import Method


def peak() -> float:
    """The process's largest memory so far, MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measured(domain: str, attack: str, count: int, threads: int) -> dict[str, float]:
    """One run of that many images."""
    torch.set_num_threads(threads)
    plan = Plan(
        domain=domain,
        n_images=count,
        attacks=(Method(name=attack),),
        defenses=((Method(name="median"),),),
        save_images=0,
    )
    classifier = domains.get(domain).classifier(device="cpu")
    domains.get(domain).pixels("test", 0)
    worked = 0.0

    def turn(work: Callable[[], TaskResult]) -> TaskResult:
        nonlocal worked
        began = time.perf_counter()
        found = work()
        worked += time.perf_counter() - began
        return found

    with tempfile.TemporaryDirectory() as folder, RunStore.create(plan, "cpu", Path(folder) / "run.sqlite") as run:
        before, began = peak(), time.perf_counter()
        evaluate(run, classifiers=lambda _: classifier, device_lock=turn)
        seconds = time.perf_counter() - began
    return {"before": before, "peak": peak(), "seconds": seconds, "idle": 1 - worked / seconds}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--domain", default="mnist")
    parser.add_argument("--attack", default="fgsm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.one is not None:
        print(json.dumps(measured(given.domain, given.attack, given.one, given.threads)))
        return
    print(f"python -m benchmarks.evaluation {' '.join(sys.argv[1:] if argv is None else argv)}".rstrip())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{given.domain}, {given.attack} by both attackers behind a median filter, batches of 25\n")
    print(
        f"{'images':>9}{'peak MB':>10}{'of which at the start':>24}{'seconds':>10}{'ms per image':>14}{'device idle':>13}"
    )
    most = domains.get(given.domain).count("test")
    for count in (c for c in given.counts if c <= most):
        command = [sys.executable, "-m", "benchmarks.evaluation", "--one", str(count)]
        command += ["--domain", given.domain, "--attack", given.attack, "--threads", str(given.threads)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        each = 1000 * found["seconds"] / count
        print(
            f"{count:9,}{found['peak']:10.0f}{found['before']:24.0f}{found['seconds']:10.1f}{each:14.2f}{found['idle']:13.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
