"""Running an evaluation on this machine: unit by unit, each kept as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import torch
from torch import Tensor

from core import domains
from core.attacks import Step
from core.cancellation import Cancelled, cancellable, check
from core.device import pick
from core.evaluate.plan import BARE, CLEAN, Plan, Unit
from core.evaluate.store import Run
from core.evaluate.work import Found, Stopped, compute, train
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.engine import Floats, Stopwatch, load_images
from core.systems.system import Loader

Turn = Callable[[Callable[[], Found]], Found]  # computes a unit when the device is free


class Pace:
    """What is still to be done, from what the units of each kind took so far."""

    def __init__(self, run: Run, todo: list[Unit]) -> None:
        self.spent = run.attack_seconds()
        self.left: dict[tuple[int, int, int, bool], int] = {}
        for unit in todo:
            self.left[unit.kind] = self.left.get(unit.kind, 0) + 1
        self.guesses: dict[tuple[int, int, int, bool], float] = {}

    def at(self, unit: Unit, seconds: float, step: Step) -> None:
        """A unit has come to that step in so many seconds: what its kind takes, until one is done."""
        if step.number:
            self.guesses[unit.kind] = seconds * step.total / step.number

    def took(self, unit: Unit, seconds: float) -> None:
        total, count = self.spent.get(unit.kind, (0.0, 0))
        self.spent[unit.kind] = (total + seconds, count + 1)
        self.left[unit.kind] -= 1

    def seconds(self) -> float | None:
        """Seconds to go; an attack that was never seen counts as the mean of the others, and without any nobody can tell."""
        means = self.guesses | {kind: total / count for kind, (total, count) in self.spent.items()}
        attacks = [mean for (_, attack, _, _), mean in means.items() if attack != CLEAN]
        unseen = [kind for kind, count in self.left.items() if count and kind not in means]
        if unseen and not attacks:
            return None
        usual = sum(attacks) / len(attacks) if attacks else 0.0
        return sum(count * means.get(kind, usual) for kind, count in self.left.items())


def described(plan: Plan, unit: Unit) -> str:
    """What a unit does, in a few words."""
    name = plan.built_attacks[unit.attack].title if unit.attack >= 0 else "no attack"
    behind = "" if unit.known == BARE else f" on {plan.systems[unit.known].title}"
    what = "training" if unit.batch is None else f"batch {unit.batch + 1} of {-(-plan.n_images // plan.batch)}"
    return f"{name}{behind}, {what}"


def evaluate(
    run: Run,
    *,
    device: str | None = None,
    classifiers: Callable[[str], Classifier] | None = None,
    on_progress: OnProgress | None = None,
    turn: Turn | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Compute every unit that is not there yet and keep each; True when all are done, False when it was stopped.

    Args:
        classifiers: gives the classifier of a name, where the caller has them loaded.
        on_progress: is called before each unit, at every step of an attack and before each defense. It may take its time, so
            that others can use the device meanwhile: no lock or transaction is held, and its time is not counted as the attack's.
        turn: computes a unit when its turn on the device comes, where others use it too.
        should_stop: is asked within a step too; it must be cheap.

    Raises:
        BadInput: data or weights are missing or others than the run began with, an attack does not fit its pictures, the disk is
            full. What was kept stays.
    """
    run.check_pictures()
    plan, todo, total = run.plan, *run.pending()
    pace = Pace(run, todo)
    names = plan.classifier_names()
    give = classifiers or _Loaded(plan, str(pick(device)))
    for number in run.classifiers_met():
        run.check_classifier(number, give(names[number]))
    for number, name in enumerate(plan.other_classifiers(), len(names)):
        run.check_classifier(number, give(name))
    held: tuple[str, Classifier] | None = None
    made: dict[str, dict[str, Floats]] = {}

    def asked(text: str) -> bool:
        if on_progress is None:
            return False
        return bool(on_progress(Progress(text, total - sum(pace.left.values()), total, eta=pace.seconds())))

    with ThreadPoolExecutor(1, thread_name_prefix="pictures") as reader:
        ahead = _Ahead(run, todo, reader)
        for unit in todo:
            text = described(plan, unit)
            if asked(text):
                return False
            if held is None or held[0] != names[unit.classifier]:
                held = (names[unit.classifier], give(names[unit.classifier]))
                run.check_classifier(unit.classifier, held[1])
            classifier = held[1]

            def loader(name: str, own: Classifier = classifier) -> Classifier:
                return give(name) if name else own

            clock = Stopwatch()

            def stop(step: Step, text: str = text, unit: Unit = unit, clock: Stopwatch = clock) -> bool:
                pace.at(unit, clock.seconds, step)
                with clock.waiting():
                    return asked(f"{text}, step {step.number} of {step.total}")

            def judging(title: str, text: str = text, clock: Stopwatch = clock) -> bool:
                with clock.waiting():
                    return asked(f"{text}, judged with {title}")

            piece = _piece(run, unit, loader, ahead, made, stop, judging)

            def work(piece: Callable[[], Found] = piece, clock: Stopwatch = clock) -> Found:
                clock.restart()  # until its turn came it only waited
                with cancellable(should_stop or (lambda: False)):
                    check()
                    return piece()

            try:
                found = turn(work) if turn is not None else work()
            except (Stopped, Cancelled):
                return False
            run.add(unit, found)
            pace.took(unit, found.seconds)
    asked("done")
    return True


def _piece(
    run: Run,
    unit: Unit,
    loader: Loader,
    ahead: _Ahead,
    made: dict[str, dict[str, Floats]],
    stop: Callable[[Step], bool],
    judging: Callable[[str], bool],
) -> Callable[[], Found]:
    """The work of one unit."""
    plan = run.plan
    if unit.batch is None:
        return lambda: train(plan, unit, loader, stop)
    extras: dict[str, Floats] = {}
    if unit.attack >= 0 and plan.built_attacks[unit.attack].universal:
        source = Unit(unit.classifier, unit.attack, unit.known, None)
        extras = made.setdefault(source.key, {}) or run.extras(source)
        made[source.key] = extras
    x, y = ahead.batch(unit.batch, loader(""))
    return lambda: compute(plan, unit, loader, x, y, extras, stop, judging)


class _Loaded:
    """The plan's classifiers by name: one at a time of those that every column is tried on, the others for good."""

    def __init__(self, plan: Plan, device: str) -> None:
        self.plan, self.device = plan, device
        self.kept: dict[str, Classifier] = {}

    def __call__(self, name: str) -> Classifier:
        if name not in self.kept:
            loaded = domains.get(self.plan.domain).classifier(name, device=self.device)
            if name not in self.plan.other_classifiers():
                return loaded
            self.kept[name] = loaded
        return self.kept[name]


class _Ahead:
    """Batches of pictures, the next one read while the device works on this one; two are held at most."""

    def __init__(self, run: Run, todo: list[Unit], reader: ThreadPoolExecutor) -> None:
        self.run, self.reader = run, reader
        self.order = _in_order(todo)
        self.held: dict[tuple[int, int, int], Future[tuple[Tensor, Tensor]]] = {}

    def batch(self, number: int, classifier: Classifier) -> tuple[Tensor, Tensor]:
        """The pictures and labels of that batch, as the classifier takes them."""
        following = self.order.get(number)
        wanted = [n for n in (number, following) if n is not None]
        keys = {(n, classifier.size, classifier.channels): n for n in wanted}
        self.held = {key: future for key, future in self.held.items() if key in keys}
        for key, n in keys.items():
            if key not in self.held:
                self.held[key] = self.reader.submit(self._load, n, classifier)
        return self.held[(number, classifier.size, classifier.channels)].result()

    def _load(self, number: int, classifier: Classifier) -> tuple[Tensor, Tensor]:
        plan = self.run.plan
        numbers = self.run.numbers[number * plan.batch : (number + 1) * plan.batch]
        x, y = load_images(domains.get(plan.domain), plan.split, numbers.tolist(), classifier)
        if classifier.device.type == "cuda":
            x = x.pin_memory()
        return x, y


def _in_order(todo: list[Unit]) -> dict[int, int]:
    """Which batch comes after which."""
    batches: list[int] = []
    for unit in todo:
        if unit.batch is not None and (not batches or batches[-1] != unit.batch):
            batches.append(unit.batch)
    return dict(pairwise(batches))


def devices_note(device: str) -> str:
    """The device as the run remembers it."""
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device
