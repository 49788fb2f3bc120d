"""One task of an evaluation: what it computes, whose time it counts, and where it stops."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core import domains
from core.attacks import PGD
from core.domains.loading import load_images
from core.evaluate import compute
from core.evaluate.eta import EtaEstimator
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task, tasks
from core.images import quantise, to_pixels
from core.inputs import InvalidInput
from core.progress import Progress
from core.recipe import Method
from core.stopwatch import Stopwatch
from core.systems.guarded import Guarded
from tests.core.evaluate.stored_runs import COMPUTED as PLAN


def test_a_step_in_the_middle_can_be_stopped_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    slow = PLAN.model_copy(update={"attacks": (Method(name="pgd", params={"steps": 1000, "early_stop": False}),)})
    with RunStore.create(slow, "cpu", tmp_path / "slow.sqlite") as run:
        seen = []

        def stop(advance: Progress) -> bool:
            seen.append(advance)
            return len(seen) > 10

        began = time.monotonic()
        assert not evaluate(run, device="cpu", on_progress=stop)
        assert time.monotonic() - began < 10
        assert run.done() == {Task(0, NO_ATTACK, NO_DEFENSE, 0).key}
        assert seen[-1].text.startswith("PGD") and seen[-1].total == len(list(tasks(slow)))


def test_the_eta_follows_the_steps_of_the_first_task_and_then_what_tasks_took(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"defenses": (), "n_images": 15})
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        todo = [task for task in tasks(plan) if task.attack != NO_ATTACK]
        eta = EtaEstimator(run, list(tasks(plan)))
        assert eta.seconds() is None
        clean = Task(0, NO_ATTACK, NO_DEFENSE, 0)
        eta.finish(clean, 0.5)
        assert eta.seconds() is None, "clean images tell nothing of an attack"
        eta.observe(todo[0], 2.0, 5, 10)
        assert eta.seconds() == pytest.approx(2 * 0.5 + 6 * 4.0)  # three batches of each of two attacks, 4 s each
        eta.finish(todo[0], 3.0)
        assert eta.seconds() == pytest.approx(2 * 0.5 + 5 * 3.0)


def test_a_task_is_the_attack_and_the_defenses_themselves(whole: RunStore) -> None:
    domain = domains.get("mnist")
    classifier = domain.classifier("cnn", "cpu")
    images, labels = domain.sample(PLAN.n_images, seed=0)
    assert torch.equal(labels, torch.from_numpy(whole.labels.copy()))
    x, y = images[5:10], labels[5:10]
    for known, judge in ((NO_DEFENSE, NO_DEFENSE), (NO_DEFENSE, 0), (0, 0), (1, 1), (NO_DEFENSE, 1)):
        defense = None if known == NO_DEFENSE else PLAN.systems[known].defense
        attacked = classifier if defense is None else Guarded(classifier, defense, "average")
        result = PGD(eps=40 / 255, steps=3)(attacked, x, y, generator=torch.Generator().manual_seed(PLAN.seed))
        shown = quantise(result.images)
        with torch.no_grad():
            view = classifier if judge == NO_DEFENSE else Guarded(classifier, PLAN.systems[judge].defense)
            shares, classes = view(shown).softmax(1).max(1)
        cell = whole.cell(0, 0, known, judge)
        assert np.array_equal(cell.predicted[5:10], classes.numpy())
        np.testing.assert_allclose(cell.confidence[5:10], shares.numpy(), atol=1e-5)
        if known == NO_DEFENSE:
            kept = [whole.image(0, 0, known, position) for position in range(5, 10)]
            assert [pixels is not None for pixels in kept] == [True, True, False, False, False]
            assert kept[1] is not None and np.array_equal(kept[1], to_pixels(result.images)[1])


def test_a_target_is_pursued_and_its_own_images_are_left_alone(tmp_path: Path) -> None:
    plan = PLAN.model_copy(
        update={
            "target": "3",
            "attacks": (
                Method(name="pgd", params={"eps": "60/255", "steps": 5}),
                Method(name="universal_patch", params={"steps": 3}),
            ),
            "attacker": "grey",
        }
    )
    with RunStore.create(plan, "cpu", tmp_path / "target.sqlite") as run:
        assert evaluate(run, device="cpu")
        for attack in (0, 1):
            cell = run.cell(0, attack, NO_DEFENSE, NO_DEFENSE)
            assert bool(cell.evaluated.all())
        own = run.labels == 3
        pushed, clean = run.cell(0, 0, NO_DEFENSE, NO_DEFENSE), run.cell(0, NO_ATTACK, NO_DEFENSE, NO_DEFENSE)
        assert own.any() and (pushed.targets[own] == -1).all() and (pushed.targets[~own] == 3).all()
        assert np.array_equal(pushed.predicted[own], clean.predicted[own])
        assert (pushed.predicted[~own] == 3).mean() > 0.5
        assert run.extras(Task(0, 1, NO_DEFENSE, None))["patch"].ndim == 3


def test_a_universal_attack_without_a_target_gets_a_sentence(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"attacks": (Method(name="universal_patch"),)})
    with (
        RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run,
        pytest.raises(InvalidInput, match="needs a target in an evaluation"),
    ):
        evaluate(run, device="cpu")


def test_an_attack_that_does_not_fit_gets_a_sentence_and_the_rest_stays(tmp_path: Path) -> None:
    plan = PLAN.model_copy(
        update={"attacks": (PLAN.attacks[0],), "defenses": ((Method(name="gaussian", params={"window": 31}),),)}
    )
    with (
        RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run,
        pytest.raises(InvalidInput, match="31×31 and the image 28×28"),
    ):
        evaluate(run, device="cpu")


def test_the_images_are_read_while_the_device_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No batch is done before the reading of the next one has begun."""
    begun = [threading.Event() for _ in range(4)]
    real = load_images

    def load(domain: object, split: str, numbers: list[int], classifier: object) -> object:
        begun[order.index(numbers[0])].set()
        return real(domain, split, numbers, classifier)  # type: ignore[arg-type]

    def computed(plan: Plan, task: Task, *rest: object) -> compute.TaskResult:
        assert task.batch is not None
        assert task.batch == 3 or begun[task.batch + 1].wait(10)
        return compute.TaskResult()

    monkeypatch.setattr("core.evaluate.prefetch.load_images", load)
    monkeypatch.setattr("core.evaluate.running.compute_task", computed)
    with RunStore.create(
        Plan(domain="mnist", n_images=8, batch=2, attacks=(), defenses=()), "cpu", tmp_path / "r.sqlite"
    ) as run:
        order = run.indices[::2].tolist()
        assert evaluate(run, device="cpu")


def test_what_others_compute_meanwhile_is_not_counted_as_the_attacks_time(tmp_path: Path) -> None:
    plan = Plan(
        domain="mnist",
        n_images=2,
        batch=2,
        attacks=(Method(name="pgd", params={"steps": 5, "early_stop": False}),),
        defenses=(),
    )
    seen: list[str] = []

    def on_progress(advance: Progress) -> None:
        seen.append(advance.text)
        with sqlite3.connect(run.path, timeout=0.1) as other:  # nothing is locked while others have their turn
            other.execute("BEGIN EXCLUSIVE")
            other.rollback()
        other.close()
        if "step" in advance.text:
            time.sleep(0.3)

    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        assert evaluate(run, device="cpu", on_progress=on_progress)
        steps = sum("step" in text for text in seen)
        spent = sum(seconds for seconds, _ in run.attack_seconds().values())
    assert steps >= 5
    clock = Stopwatch()
    with clock.waiting():
        time.sleep(0.2)
    assert clock.seconds < 0.1 and spent < 0.3 * steps


def test_judging_says_what_it_does_and_stops_between_defenses(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"attacks": (), "n_images": 5})
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        seen: list[str] = []

        def on_progress(advance: Progress) -> bool:
            seen.append(advance.text)
            return "Median" in advance.text

        assert not evaluate(run, device="cpu", on_progress=on_progress) and not run.done()
        assert seen[-2:] == [
            "no attack, batch 1 of 1, judged with no defense",
            "no attack, batch 1 of 1, judged with Median filter",
        ]
        assert evaluate(run, device="cpu", on_progress=lambda advance: seen.append(advance.text) and False)
        assert "no attack, batch 1 of 1, judged with Feature squeezing" in seen


def test_stop_is_asked_within_a_task_and_before_its_turn(tmp_path: Path) -> None:
    with RunStore.create(PLAN, "cpu", tmp_path / "r.sqlite") as run:
        asked: list[bool] = []

        def turn(work: Callable[[], compute.TaskResult]) -> compute.TaskResult:
            asked.append(True)
            return work()

        assert not evaluate(run, device="cpu", device_lock=turn, should_stop=lambda: bool(asked))
        assert len(asked) == 1 and not run.done()
