"""The same evaluation on a Ray cluster: tasks run in workers, each with its own classifier; results go into the same store."""

from __future__ import annotations

import socket
from functools import lru_cache
from importlib import import_module
from typing import Any

from core import domains
from core.device import pick
from core.domains.loading import load_images
from core.evaluate.compute import TaskResult, compute_task, train_task
from core.evaluate.eta import EtaEstimator
from core.evaluate.plan import Plan
from core.evaluate.running import describe_task
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task
from core.inputs import InvalidInput, quoted
from core.models import artifacts
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.universal import Floats

QUEUED_PER_WORKER = 2  # tasks that wait for each worker, so that none is idle


def distribute(
    run: RunStore, address: str, *, workers: int | None = None, threads: int = 1, on_progress: OnProgress | None = None
) -> bool:
    """`evaluate` on Ray: the same numbers, by as many workers as the cluster has; True when all is done, False when stopped.

    When a worker dies, another one computes its task again.

    Args:
        address: 'local' starts a cluster on this machine, anything else names one that runs ('auto', 'ray://host:10001').
        workers: of a local cluster; one a core without it. threads: of each worker on a CPU.

    Raises:
        InvalidInput: Ray is not installed, or there is no such cluster; else as `evaluate`.
    """
    try:
        ray: Any = import_module("ray")  # optional, and slow to import
    except ImportError:
        raise InvalidInput("Ray is not installed here; install requirements-ray.txt first.") from None
    _check_address(address)
    run.check_images()
    run.check_weights()
    plan, pending, total = run.plan, *run.pending()
    for number, name in enumerate((*plan.classifier_names(), *plan.other_classifiers())):
        run.check_classifier(number, domains.get(plan.domain).classifier(name, "cpu"))
    eta = EtaEstimator(run, pending)
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
        raise InvalidInput(f"There is no Ray cluster at {quoted(address)}: {error}.") from error
    remote = ray.remote(max_retries=-1)(_compute).options(num_gpus=1 if _has_gpus(ray) else 0)
    text = plan.resolved().to_json()
    try:
        in_flight_limit = QUEUED_PER_WORKER * max(1, int(ray.cluster_resources().get("CPU", 1)))
        # What universal attacks learn is needed by their batches.
        for stage in ([t for t in pending if t.batch is None], [t for t in pending if t.batch is not None]):
            waiting = list(reversed(stage))
            in_flight: dict[Any, Task] = {}
            while waiting or in_flight:
                while waiting and len(in_flight) < in_flight_limit:
                    task = waiting.pop()
                    indices = None if task.batch is None else run.batch_indices(task.batch)
                    in_flight[remote.remote(text, task, indices, run.extras(task.training), threads)] = task
                ready, _ = ray.wait(list(in_flight), num_returns=1, timeout=0.5)
                for reference in ready:
                    task = in_flight.pop(reference)
                    result: TaskResult = ray.get(reference)
                    run.add(task, result)
                    eta.finish(task, result.seconds)
                seconds = eta.seconds()
                seconds = None if seconds is None else seconds / max(1, in_flight_limit // QUEUED_PER_WORKER)
                words = describe_task(plan, next(iter(in_flight.values()))) if in_flight else "done"
                progress = Progress(words, total - eta.n_pending, total, eta=seconds)
                if on_progress is not None and on_progress(progress):
                    return False
    finally:
        ray.shutdown()
    return True


def _check_address(address: str) -> None:
    """Refuse an address where nobody listens; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # 'local', 'auto'
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"There is no Ray cluster at {quoted(address)}: {error}.") from error


def _has_gpus(ray: Any) -> bool:
    return bool(ray.cluster_resources().get("GPU", 0))


def _compute(text: str, task: Task, indices: list[int] | None, extras: dict[str, Floats], threads: int) -> TaskResult:
    """One task, in a worker's process."""
    import torch

    torch.set_num_threads(threads)
    plan = Plan.from_json(text)
    own = plan.classifier_names()[task.classifier]

    def loader(name: str) -> Classifier:
        name = name or own
        return _classifier(plan.domain, name, artifacts.checksum("classifier", f"{plan.domain}_{name}"))

    if indices is None:
        return train_task(plan, task, loader)
    x, y = load_images(domains.get(plan.domain), plan.split, indices, loader(""))
    return compute_task(plan, task, loader, x, y, extras)


@lru_cache(maxsize=8)
def _classifier(domain: str, name: str, _sha256: str) -> Classifier:
    """A worker's classifier, loaded once."""
    return domains.get(domain).classifier(name, device=str(pick(None)))
