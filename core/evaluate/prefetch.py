"""Reading the images of an evaluation ahead of the device."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

from torch import Tensor

from core import domains
from core.domains.loading import load_images
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task
from core.models.classifier import Classifier


class Prefetcher:
    """Batches of images; the next one is read while the device works on this one. At most two are in memory.

    Args:
        run: whose images. pending: the tasks in order. reader: the thread that reads.
    """

    def __init__(self, run: RunStore, pending: list[Task], reader: ThreadPoolExecutor) -> None:
        self.run, self.reader = run, reader
        self.next_batch = _next_batches(pending)
        self.futures: dict[tuple[int, int, int], Future[tuple[Tensor, Tensor]]] = {}

    def batch(self, number: int, classifier: Classifier) -> tuple[Tensor, Tensor]:
        """The images N×C×H×W of that batch, of the classifier's size, and their labels N."""
        following = self.next_batch.get(number)
        needed = [n for n in (number, following) if n is not None]
        keys = {(n, classifier.size, classifier.channels): n for n in needed}
        self.futures = {key: future for key, future in self.futures.items() if key in keys}
        for key, n in keys.items():
            if key not in self.futures:
                self.futures[key] = self.reader.submit(self._load, n, classifier)
        return self.futures[(number, classifier.size, classifier.channels)].result()

    def _load(self, number: int, classifier: Classifier) -> tuple[Tensor, Tensor]:
        plan = self.run.plan
        x, y = load_images(domains.get(plan.domain), plan.split, self.run.batch_indices(number), classifier)
        if classifier.device.type == "cuda":
            x = x.pin_memory()
        return x, y


def _next_batches(pending: list[Task]) -> dict[int, int]:
    """Which batch comes after which."""
    batches: list[int] = []
    for task in pending:
        if task.batch is not None and (not batches or batches[-1] != task.batch):
            batches.append(task.batch)
    return dict(pairwise(batches))
