"""The tasks of a plan: what is computed in one go, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.evaluate.plan import FIRST_CERTIFICATE, NO_ATTACK, NO_DEFENSE, Plan

TaskKind = tuple[int, int, int, bool]  # classifier, attack, known defense, whether it trains a universal attack


@dataclass(frozen=True)
class Task:
    """What is computed in one go and stored whole or not at all: one attack or certificate on one classifier and batch of images.

    Attributes:
        classifier, attack: by their number in the plan; NO_ATTACK for clean images, FIRST_CERTIFICATE and below for certificates.
        known_defense: the defense that the attacker knows, or that is certified, or NO_DEFENSE.
        batch: None where a universal attack is trained for all images.
    """

    classifier: int
    attack: int
    known_defense: int
    batch: int | None

    @property
    def key(self) -> str:
        """Its name in the store."""
        batch = "all" if self.batch is None else self.batch
        return f"{self.classifier}/{self.attack}/{self.known_defense}/{batch}"

    @property
    def kind(self) -> TaskKind:
        """Tasks of one kind take about as long as each other."""
        return self.classifier, self.attack, self.known_defense, self.batch is None

    @property
    def certificate(self) -> int | None:
        """The certificate that it works out, by its number in the plan; None for an attack and for clean images."""
        return FIRST_CERTIFICATE - self.attack if self.attack <= FIRST_CERTIFICATE else None

    @property
    def training(self) -> Task:
        """The task that trains the universal attack which this one applies."""
        return Task(self.classifier, self.attack, self.known_defense, None)


def _known_defenses(plan: Plan) -> list[int]:
    """The defenses that an attacker of the plan knows, and NO_DEFENSE."""
    return [NO_DEFENSE, *(range(len(plan.defenses)) if plan.attacker != "grey" else ())]


def certificate_keys(plan: Plan) -> Iterator[tuple[int, int]]:
    """The plan's certificates, as the numbers of attacks that stand for them, each with every column and NO_DEFENSE."""
    for number in range(len(plan.certificates)):
        for defense in (NO_DEFENSE, *range(len(plan.defenses))):
            yield FIRST_CERTIFICATE - number, defense


def tasks(plan: Plan) -> Iterator[Task]:
    """All tasks of a plan: the training of universal attacks first, then batch by batch, so that every table fills evenly."""
    known = _known_defenses(plan)
    for classifier in range(len(plan.classifier_names())):
        for number, attack in enumerate(plan.built_attacks):
            if attack.universal:
                yield from (Task(classifier, number, defense, None) for defense in known)
        for batch in range(-(-plan.n_images // plan.batch)):
            yield Task(classifier, NO_ATTACK, NO_DEFENSE, batch)
            for number in range(len(plan.attacks)):
                yield from (Task(classifier, number, defense, batch) for defense in known)
            yield from (Task(classifier, number, defense, batch) for number, defense in certificate_keys(plan))


def task_kinds(plan: Plan) -> Iterator[TaskKind]:
    """The kinds of tasks that a plan has, however many images it names."""
    for classifier in range(len(plan.classifier_names())):
        yield classifier, NO_ATTACK, NO_DEFENSE, False
        for number, attack in enumerate(plan.built_attacks):
            for defense in _known_defenses(plan):
                yield classifier, number, defense, False
                if attack.universal:
                    yield classifier, number, defense, True
        yield from ((classifier, number, defense, False) for number, defense in certificate_keys(plan))


def task_count(plan: Plan) -> int:
    """How many tasks a plan has, without making them."""
    batches = -(-plan.n_images // plan.batch)
    return sum(1 if whole else batches for *_, whole in task_kinds(plan))


def judged_defenses(plan: Plan, task: Task) -> tuple[int, ...]:
    """The defenses (and NO_DEFENSE) that judge the images of a task; none judges what a certificate promises."""
    if task.certificate is not None:
        return ()
    if task.known_defense != NO_DEFENSE:
        return (task.known_defense,)
    everyone = task.attack == NO_ATTACK or plan.attacker != "adaptive"
    return (NO_DEFENSE, *(range(len(plan.defenses)) if everyone else ()))
