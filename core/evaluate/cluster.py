"""The same evaluation on a Ray cluster: every unit is a task, a worker holds its classifier, results land in the same store."""

from __future__ import annotations

import socket
from functools import lru_cache
from importlib import import_module
from typing import Any

from core import domains
from core.device import pick
from core.evaluate.plan import Plan, Unit
from core.evaluate.running import Pace, described
from core.evaluate.store import Run
from core.evaluate.work import Found, compute, train
from core.inputs import BadInput, quoted
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.engine import Floats, load_images

AHEAD = 2  # tasks that wait for each worker, so that none is idle


def distribute(
    run: Run, address: str, *, workers: int | None = None, threads: int = 1, on_progress: OnProgress | None = None
) -> bool:
    """`evaluate` on Ray: the same numbers, by as many workers as the cluster has; True when all is done, False when stopped.

    A worker that dies costs the unit in its hands and time; another one computes it anew.

    Args:
        address: 'local' starts a cluster on this machine, anything else names one that runs ('auto', 'ray://host:10001').
        workers: of a local cluster; one a core without it. threads: of each worker on a CPU.

    Raises:
        BadInput: Ray is not installed, or there is no such cluster; else as `evaluate`.
    """
    try:
        ray: Any = import_module("ray")  # optional, and slow to import
    except ImportError:
        raise BadInput("Ray is not installed here; install requirements-ray.txt first.") from None
    _reach(address)
    run.check_pictures()
    plan, todo, total = run.plan, *run.pending()
    for number, name in enumerate((*plan.classifier_names(), *plan.other_classifiers())):
        run.check_classifier(number, domains.get(plan.domain).classifier(name, "cpu"))
    pace = Pace(run, todo)
    try:
        ray.init(
            address=None if address == "local" else address,
            num_cpus=workers if address == "local" else None,
            include_dashboard=False,
            log_to_driver=False,
            ignore_reinit_error=True,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BadInput(f"There is no Ray cluster at {quoted(address)}: {error}.") from error
    task = ray.remote(max_retries=-1)(_task).options(num_gpus=1 if _has_gpus(ray) else 0)
    text = plan.resolved().to_json()
    try:
        crowd = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        # What universal attacks make is needed by their batches.
        for stage in ([u for u in todo if u.batch is None], [u for u in todo if u.batch is not None]):
            waiting = list(reversed(stage))
            flying: dict[Any, Unit] = {}
            while waiting or flying:
                while waiting and len(flying) < crowd:
                    unit = waiting.pop()
                    numbers = None
                    if unit.batch is not None:
                        numbers = run.numbers[unit.batch * plan.batch : (unit.batch + 1) * plan.batch].tolist()
                    source = Unit(unit.classifier, unit.attack, unit.known, None)
                    flying[task.remote(text, unit, numbers, run.extras(source), threads)] = unit
                ready, _ = ray.wait(list(flying), num_returns=1, timeout=0.5)
                for reference in ready:
                    unit = flying.pop(reference)
                    found: Found = ray.get(reference)
                    run.add(unit, found)
                    pace.took(unit, found.seconds)
                left = pace.seconds()
                share = None if left is None else left / max(1, crowd // AHEAD)
                words = described(plan, next(iter(flying.values()))) if flying else "done"
                done = total - sum(pace.left.values())
                if on_progress is not None and on_progress(Progress(words, done, total, eta=share)):
                    return False
    finally:
        ray.shutdown()
    return True


def _reach(address: str) -> None:
    """Refuse an address where nobody listens; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # 'local', 'auto'
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"There is no Ray cluster at {quoted(address)}: {error}.") from error


def _has_gpus(ray: Any) -> bool:
    return bool(ray.cluster_resources().get("GPU", 0))


def _task(text: str, unit: Unit, numbers: list[int] | None, made: dict[str, Floats], threads: int) -> Found:
    """One unit, in a worker's process."""
    import torch

    torch.set_num_threads(threads)
    plan = Plan.from_json(text)
    own = plan.classifier_names()[unit.classifier]

    def loader(name: str) -> Classifier:
        return _classifier(plan.domain, name or own)

    if numbers is None:
        return train(plan, unit, loader)
    x, y = load_images(domains.get(plan.domain), plan.split, numbers, loader(""))
    return compute(plan, unit, loader, x, y, made)


@lru_cache(maxsize=8)
def _classifier(domain: str, name: str) -> Classifier:
    """A worker's classifier, loaded once."""
    return domains.get(domain).classifier(name, device=str(pick(None)))
