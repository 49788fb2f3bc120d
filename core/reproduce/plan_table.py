"""Tables that one evaluation plan measures: attacks × defenses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from core import domains
from core.device import pick
from core.evaluate import database
from core.evaluate.cluster import distribute
from core.evaluate.metrics import Metrics
from core.evaluate.plan import Plan
from core.evaluate.report import heading
from core.evaluate.running import devices_note, evaluate
from core.evaluate.store import OtherWeights, RunStore
from core.evaluate.tables import markdown
from core.progress import OnProgress
from core.reproduce.base import MeasuredTable, PaperTable, Row, Settings, as_table

MAX_SAVED_IMAGES = 200


@contextmanager
def measured_plan(
    plan: Plan, settings: Settings, on_progress: OnProgress | None = None, *, anew: bool = False
) -> Iterator[Metrics | None]:
    """What an evaluation finds, while its file is open; None where it was stopped.

    What an earlier run of the same plan stored is not computed again. With `anew`, a run that began with other weights is deleted.
    """
    try:
        run = _measured(plan, settings, on_progress)
    except OtherWeights as error:
        if not anew or error.path is None:
            raise
        database.remove(error.path)
        run = _measured(plan, settings, on_progress)
    if run is None:
        yield None
        return
    with run:
        yield Metrics(run)


@contextmanager
def measured_plans(
    plans: Mapping[str, Plan], settings: Settings, on_progress: OnProgress | None = None
) -> Iterator[list[Metrics] | None]:
    """What several evaluations find, in order, while their files are open; None where one was stopped.

    Args:
        plans: by what is added to the name of the file that `settings` asks for; '' adds nothing.
    """
    with ExitStack() as opened:
        found: list[Metrics] = []
        for word, plan in plans.items():
            store = settings.store
            if store is not None and word:
                store = store.with_name(f"{store.stem}_{word}{store.suffix}")
            metrics = opened.enter_context(measured_plan(plan, replace(settings, store=store), on_progress))
            if metrics is None:
                yield None
                return
            found.append(metrics)
        yield found


def _measured(plan: Plan, settings: Settings, on_progress: OnProgress | None) -> RunStore | None:
    """The complete run of a plan; None where it was stopped."""
    run = RunStore.create(plan, devices_note(str(pick(settings.device))), settings.store)
    complete = False
    try:
        if settings.ray:
            complete = distribute(run, settings.ray, workers=settings.workers, on_progress=on_progress)
        else:
            complete = evaluate(run, device=settings.device, on_progress=on_progress)
    finally:
        if not complete:
            run.close()
    return run if complete else None


class PlanTable(PaperTable):
    """A table from the cells of an evaluation; `evaluate` stores what is done, so a stopped run continues."""

    @abstractmethod
    def plan_fields(self, domain: str) -> dict[str, Any]:
        """The attacks, defenses and attackers, as fields of `Plan`.

        Raises:
            InvalidInput: the domain has no target for this table.
        """

    @abstractmethod
    def rows(self, metrics: Metrics) -> list[Row]:
        """The rows of the table."""

    def conclusion(self, metrics: Metrics) -> str:
        """What the paper claims, and whether it holds here; one sentence or more."""
        return ""

    def plan(self, settings: Settings) -> Plan:
        """The evaluation that measures this table; on Imagenette and its default classifier unless `settings` names others."""
        domain = settings.domain or "imagenette"
        n_images = self.n_images if settings.n_images is None else settings.n_images
        return Plan(
            domain=domain,
            classifiers=(settings.classifier,) if settings.classifier else (),
            n_images=n_images,
            seed=settings.seed,
            save_images=min(n_images, MAX_SAVED_IMAGES),
            **self.plan_fields(domain),
        )

    def measure(self, settings: Settings, on_progress: OnProgress | None = None) -> MeasuredTable | None:
        plan = self.plan(settings)
        with measured_plan(plan, settings, on_progress) as metrics:
            if metrics is None:
                return None
            return self.finished(metrics, self.rows(metrics), self.conclusion(metrics))

    def finished(self, metrics: Metrics, rows: list[Row], conclusion: str) -> MeasuredTable:
        """The table with its report."""
        report = self.report(metrics, rows, conclusion)
        return MeasuredTable(as_table(rows), report, metrics.plan.n_images, metrics.run.path)

    def report(self, metrics: Metrics, rows: list[Row], conclusion: str) -> str:
        """The table as Markdown, below what it was measured on."""
        plan = metrics.plan
        classifier = domains.get(plan.domain).classifier_title(plan.classifier_names()[0])
        attacks = "; ".join(plan.attack_title(number) for number in range(len(plan.attacks)))
        return (
            f"## {self.title}\n\n{classifier}; {heading(metrics)}.\n"
            + (f"Attack: {attacks}.\n" if attacks else "")
            + f"Published: {self.published}\n\n{markdown(as_table(rows))}\n{conclusion}".rstrip()
            + "\n"
        )
