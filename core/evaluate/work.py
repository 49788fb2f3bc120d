"""Computing one unit of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import domains, images
from core.attacks import Attack, Goal, Step
from core.attacks.patch import Placing, UniversalPatch, stick
from core.domains import Domain
from core.evaluate.detection import FeatureSqueezing
from core.evaluate.plan import BARE, CLEAN, Plan, Unit, judges
from core.inputs import BadInput, check_logits
from core.models.classifier import Classifier
from core.random_streams import RandomStreams
from core.systems.guarded import Guarded

TRAINED_ON = 400  # pictures that a universal attack is trained on, at most

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Watch = Callable[[Step], bool | None]
Judging = Callable[[str], bool | None]  # what is about to judge, in a few words; True to stop


class Stopped(Exception):
    """A unit was stopped in its middle; nothing of it is kept."""


class Stopwatch:
    """Seconds of work without those in which a watcher kept it waiting: others may have had the device meanwhile."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.began, self.waited = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.waited

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens inside is not counted."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - began

    def beside(self, watch: Watch | None) -> Watch | None:
        """The watcher, whose own time is not counted."""
        if watch is None:
            return None

        def uncounted(step: Step) -> bool | None:
            with self.waiting():
                return watch(step)

        return uncounted


@dataclass(frozen=True)
class Answer:
    """What a classifier behind one defense said of a batch: classes N, their confidences N, the true class's N; and its price.

    `seconds`: what the defense itself took for the batch.
    """

    predicted: Ints
    confidence: Floats
    true_confidence: Floats
    seconds: float


@dataclass(frozen=True)
class Found:
    """What one unit leads to.

    Attributes:
        answers: by the number of the defense that looked, BARE for none.
        targets: the class that each picture was pushed toward, −1 for none; N.
        seconds: what the attack took.
        scores: of the feature-squeezing detector, N; empty where it was not asked.
        pictures: the attacked pictures that are kept, uint8 H×W×C, of the first so many of the batch.
        extras: what a universal attack made, by name.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    targets: Ints = field(default_factory=lambda: np.empty(0, np.int32))
    seconds: float = 0.0
    scores: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    pictures: tuple[images.Pixels, ...] = ()
    extras: dict[str, Floats] = field(default_factory=dict)


def drawn(plan: Plan, split: str | None = None, count: int | None = None) -> npt.NDArray[np.int64]:
    """The numbers of the plan's pictures in their split, in the order in which they are looked at.

    Raises:
        BadInput: the data set is not here, or holds fewer pictures.
    """
    domain = domains.get(plan.domain)
    return domain.drawn(count or plan.count, split or plan.split, plan.seed)


def load(domain: Domain, split: str, numbers: Sequence[int], classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Those pictures of a split, as the classifier takes them (float32 N×C×H×W), and their labels (int64 N)."""
    fitted = [
        images.to_tensor(images.fit(domain.pixels(split, int(n)), classifier.size, classifier.channels, "crop"))
        for n in numbers
    ]
    return torch.cat(fitted), torch.from_numpy(domain.labels(split)[np.asarray(numbers)])


def signature(classifier: Classifier) -> Floats:
    """By which a classifier is known again, on any device: its logits of two fixed pictures, float32 2×K."""
    size = (2, classifier.channels, classifier.size, classifier.size)
    fixed = torch.rand(size, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.0]).view(2, 1, 1, 1)
    with torch.no_grad():
        logits: Floats = classifier(fixed.to(classifier.device)).float().cpu().numpy()
    return logits


def attacked_as(plan: Plan, known: int, classifier: Classifier) -> Classifier:
    """The classifier as an attacker who knows that defense (or none) attacks it."""
    if known == BARE:
        return classifier
    return Guarded(classifier, plan.built_defenses[known], plan.backward, seed=plan.seed)


def train(plan: Plan, unit: Unit, classifier: Classifier, watch: Watch | None = None) -> Found:
    """Make a universal attack's one change, on training pictures where the domain has them, else on the plan's own.

    Raises:
        Stopped: the watcher asked to stop.
    """
    domain, attack = domains.get(plan.domain), plan.built_attacks[unit.attack]
    target = _target(plan, domain)
    if target is None:
        raise BadInput(f"{attack.title} needs a target in an evaluation; choose a class.")
    split = "train" if "train" in domain.splits() else plan.split
    count = min(TRAINED_ON, domain.count(split))
    x, y = load(domain, split, domain.drawn(count, split, plan.seed).tolist(), classifier)
    x, y = x[y != target], y[y != target]
    generator = torch.Generator().manual_seed(plan.seed)
    clock = Stopwatch()
    result = attack(
        attacked_as(plan, unit.known, classifier),
        x,
        y,
        Goal(torch.full_like(y, target)),
        generator,
        watch=clock.beside(watch),
    )
    if result.stopped:
        raise Stopped
    made = {name: result.extras[name].cpu().numpy() for name in ("patch", "stencil")}
    return Found(seconds=clock.seconds, extras=made)


def compute(
    plan: Plan,
    unit: Unit,
    classifier: Classifier,
    x: Tensor,
    y: Tensor,
    made: dict[str, Floats] | None = None,
    watch: Watch | None = None,
    judging: Judging | None = None,
) -> Found:
    """Attack a batch x (N×C×H×W in [0, 1]), y (N) and show it, rounded to 8 bits, to all who judge it.

    An image has the same randomness in every batch, attack and defense, and in a recipe of the same seed: so LaVAN has the same
    places and targets in all.

    Args:
        made: what training a universal attack made.
        watch: sees each step of the attack. judging: is called before each defense and the detector look at the batch.

    Raises:
        Stopped: the watcher asked to stop.
    """
    assert unit.batch is not None
    x, y = x.to(classifier.device), y.to(classifier.device)
    generator = torch.Generator().manual_seed(plan.seed)
    clock = Stopwatch()
    targets: Tensor | None = None
    if unit.attack == CLEAN:
        attacked = x
    else:
        attack = plan.built_attacks[unit.attack]
        if attack.universal:
            attacked, targets = _stuck(plan, attack, x, made or {}, generator)
        else:
            target = _target(plan, domains.get(plan.domain))
            # A picture of the target's own class cannot be pushed toward it: it is left alone.
            own = torch.zeros_like(y, dtype=torch.bool) if target is None else y == target
            attacked, targets = x.clone(), torch.full_like(y, -1 if target is None else target)
            if not bool(own.all()):
                goal = Goal() if target is None else Goal(targets[~own])
                aimed = attacked_as(plan, unit.known, classifier)
                result = attack(aimed, x[~own], y[~own], goal, generator, watch=clock.beside(watch))
                if result.stopped:
                    raise Stopped
                attacked[~own] = result.images.to(x)
                if result.targets is not None:
                    targets[~own] = result.targets.to(y)
            targets[own] = -1
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
    seconds = clock.seconds
    attacked = images.quantise(attacked)
    answers: dict[int, Answer] = {}
    for number in judges(plan, unit):
        _ask_before(judging, plan.defense_title(number))
        answers[number] = _answer(plan, number, classifier, attacked, y)
    scores = np.empty(0, np.float32)
    if plan.detect and unit.known == BARE:
        _ask_before(judging, "feature squeezing")
        scores = FeatureSqueezing(classifier).score(attacked).float().cpu().numpy()
    first = unit.batch * plan.batch
    kept = images.to_pixels(attacked[: max(0, plan.keep - first)]) if unit.attack != CLEAN else ()
    return Found(
        answers=answers,
        targets=(torch.full_like(y, -1) if targets is None else targets).cpu().numpy().astype(np.int32),
        seconds=seconds,
        scores=scores,
        pictures=tuple(kept),
    )


def _ask_before(judging: Judging | None, title: str) -> None:
    if judging is not None and judging(title):
        raise Stopped


def _target(plan: Plan, domain: Domain) -> int | None:
    return domain.class_number(plan.target) if plan.target else None


def _stuck(
    plan: Plan, attack: Attack, x: Tensor, made: dict[str, Floats], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The universal patch on every picture of a batch, turned, zoomed and lit as in training."""
    assert isinstance(attack, UniversalPatch)
    shapes = [made[name].shape if name in made else () for name in ("patch", "stencil")]
    side = shapes[0][-1] if shapes[0] else 0
    if shapes != [(x.shape[1], side, side), (1, side, side)] or side > 2 * min(x.shape[2:]):
        raise BadInput("The patch of this run is damaged or missing; delete the run and start it again.")
    patch, stencil = (torch.from_numpy(made[name]).to(x) for name in ("patch", "stencil"))
    height, width = x.shape[2:]
    how = attack.placings(patch.shape[-1], height, width, RandomStreams.of(x, generator))
    moved = Placing(*(value.to(x.device) for value in (how.row, how.column, how.angle, how.scale, how.brightness)))
    target = domains.get(plan.domain).class_number(plan.target)
    return stick(x, patch, stencil, moved)[0], torch.full((len(x),), target, device=x.device)


@torch.no_grad()
def _answer(plan: Plan, number: int, classifier: Classifier, attacked: Tensor, y: Tensor) -> Answer:
    """What the classifier says behind that defense, and what the defense took."""
    seconds = 0.0
    if number == BARE:
        logits = classifier(attacked)
    else:
        defense = plan.built_defenses[number]
        began = time.perf_counter()
        defended = defense(attacked)
        if attacked.is_cuda:
            torch.cuda.synchronize(attacked.device)
        seconds = time.perf_counter() - began
        # A defense with randomness is judged by the mean over several draws.
        judge = Guarded(classifier, defense, seed=plan.seed) if defense.randomised() else None
        logits = judge(attacked) if judge else classifier(defended)
    check_logits(logits)
    shares = logits.float().softmax(1)
    top = shares.max(1)
    return Answer(
        top.indices.cpu().numpy().astype(np.int32),
        top.values.cpu().numpy(),
        shares.gather(1, y[:, None])[:, 0].cpu().numpy(),
        seconds,
    )
