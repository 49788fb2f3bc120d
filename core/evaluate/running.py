"""Running an evaluation on this machine: task by task, each stored as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from core import domains
from core.cancellation import Cancelled, cancellable, check
from core.device import pick, threads
from core.evaluate.compute import Stopped, TaskResult, compute_task, train_task
from core.evaluate.eta import EtaEstimator
from core.evaluate.plan import NO_DEFENSE, Plan
from core.evaluate.prefetch import Prefetcher
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.universal import Floats
from core.stopwatch import Stopwatch
from core.systems.system import Loader

Compute = Callable[[], TaskResult]
DeviceLock = Callable[[Compute], TaskResult]  # computes a task when the device is free


def describe_task(plan: Plan, task: Task) -> str:
    """What a task does, in a few words."""
    if task.certificate is not None:
        name = plan.built_certificates[task.certificate].title
    else:
        name = plan.built_attacks[task.attack].title if task.attack >= 0 else "no attack"
    defended = "" if task.known_defense == NO_DEFENSE else f" on {plan.systems[task.known_defense].title}"
    part = "training" if task.batch is None else f"batch {task.batch + 1} of {-(-plan.n_images // plan.batch)}"
    return f"{name}{defended}, {part}"


def evaluate(
    run: RunStore,
    *,
    device: str | None = None,
    classifiers: Callable[[str], Classifier] | None = None,
    on_progress: OnProgress | None = None,
    device_lock: DeviceLock | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Compute every task that is not done yet and store each.

    Args:
        classifiers: gives the classifier of a name, where the caller has them loaded.
        on_progress: is called before each task, at every step of an attack or certificate and before each defense. It may take its
            time, so that others can use the device meanwhile: no lock or transaction is held, and its time does not count as the attack's.
        device_lock: computes a task when the device is free, where others use it too.
        should_stop: is called within a step too; it must be cheap.

    Returns:
        True when all tasks are done, False when it was stopped.

    Raises:
        InvalidInput: data or weights are missing or others than the run started with, an attack does not fit its images, the disk is
            full. What was stored stays.
    """
    run.check_images()
    run.check_weights()
    plan, pending, total = run.plan, *run.pending()
    eta = EtaEstimator(run, pending)
    names = plan.classifier_names()
    load = classifiers or _ClassifierCache(plan, str(pick(device)))
    for number in run.evaluated_classifiers():
        run.check_classifier(number, load(names[number]))
    for number, name in enumerate(plan.other_classifiers(), len(names)):
        run.check_classifier(number, load(name))
    current: tuple[str, Classifier] | None = None
    universal: dict[str, dict[str, Floats]] = {}  # by the key of the task that trained it

    def report(text: str) -> bool:
        if on_progress is None:
            return False
        return bool(on_progress(Progress(text, total - eta.n_pending, total, eta=eta.seconds())))

    with ThreadPoolExecutor(1, thread_name_prefix="images") as reader:
        prefetcher = Prefetcher(run, pending, reader)
        for task in pending:
            text = describe_task(plan, task)
            if report(text):
                return False
            if current is None or current[0] != names[task.classifier]:
                current = (names[task.classifier], load(names[task.classifier]))
                run.check_classifier(task.classifier, current[1])
            classifier = current[1]

            def loader(name: str, own: Classifier = classifier) -> Classifier:
                return load(name) if name else own

            clock = Stopwatch()

            def on_part(part: Progress, text: str = text, task: Task = task, clock: Stopwatch = clock) -> bool:
                what = part.text
                if part.step is not None:
                    eta.observe(task, clock.seconds, part.step.number, part.step.total)
                    what = f"step {part.done} of {part.total}"
                elif task.certificate is not None:
                    eta.observe(task, clock.seconds, part.done, part.total)
                    what = f"{100 * part.done / max(1, part.total):.0f} %"
                with clock.waiting():
                    return report(f"{text}, {what}")

            compute = _make_task(run, task, loader, prefetcher, universal, on_part)

            def timed(compute: Compute = compute, clock: Stopwatch = clock) -> TaskResult:
                clock.restart()  # the wait for the device does not count
                with cancellable(should_stop or (lambda: False)):
                    check()
                    return compute()

            try:
                result = device_lock(timed) if device_lock is not None else timed()
            except (Stopped, Cancelled):
                return False
            run.add(task, result)
            eta.finish(task, result.seconds)
    report("done")
    return True


def _make_task(
    run: RunStore,
    task: Task,
    loader: Loader,
    prefetcher: Prefetcher,
    universal: dict[str, dict[str, Floats]],
    on_progress: OnProgress,
) -> Compute:
    """The computation of one task, with its images read."""
    plan = run.plan
    if task.batch is None:
        return lambda: train_task(plan, task, loader, on_progress)
    extras: dict[str, Floats] = {}
    if task.attack >= 0 and plan.built_attacks[task.attack].universal:
        training = task.training
        extras = universal.get(training.key) or run.extras(training)
        universal[training.key] = extras
    x, y = prefetcher.batch(task.batch, loader(""))
    return lambda: compute_task(plan, task, loader, x, y, extras, on_progress)


class _ClassifierCache:
    """The plan's classifiers by name: those that every column is judged with are loaded one at a time, the others stay loaded."""

    def __init__(self, plan: Plan, device: str) -> None:
        self.plan, self.device = plan, device
        self.loaded: dict[str, Classifier] = {}

    def __call__(self, name: str) -> Classifier:
        if name not in self.loaded:
            classifier = domains.get(self.plan.domain).classifier(name, device=self.device)
            if name not in self.plan.other_classifiers():
                return classifier
            self.loaded[name] = classifier
        return self.loaded[name]


def devices_note(device: str) -> str:
    """The device as the run stores it."""
    return f"{device}, {threads()}" if device == "cpu" else device
