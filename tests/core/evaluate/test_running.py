"""A run on disk: cut off, gone on with, killed, damaged; and what one task computes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from core import domains
from core.attacks import PGD, Step
from core.domains.loading import load_images
from core.evaluate import compute, run_index, store
from core.evaluate.eta import EtaEstimator
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task, tasks
from core.images import quantise, to_pixels
from core.inputs import InvalidInput
from core.progress import Progress
from core.recipe import Method
from core.recipe.stopwatch import Stopwatch
from core.systems.guarded import Guarded

ROOT = Path(__file__).resolve().parents[3]
PLAN = Plan(
    domain="mnist",
    classifiers=("cnn",),
    n_images=13,
    batch=5,
    attacks=(Method(name="pgd", params={"eps": "40/255", "steps": 3}), Method(name="square", params={"queries": 20})),
    defenses=((Method(name="median"),), (Method(name="random_resize"), Method(name="bitdepth"))),
    detectors=(Method(name="feature_squeezing"),),
    save_images=7,
)


def content(run: RunStore) -> list[tuple[object, ...]]:
    """All that a run holds but the times."""
    base = sqlite3.connect(run.path)
    tables = (
        "SELECT key, classifier, attack, known_defense, batch, targets FROM tasks ORDER BY key",
        "SELECT task, detector, scores FROM scores ORDER BY task, detector",
        "SELECT task, defense, predicted, confidence, true_confidence FROM predictions ORDER BY task, defense",
        "SELECT * FROM images ORDER BY 1, 2, 3, 4",
        "SELECT * FROM extras ORDER BY task, name",
    )
    rows = [row for question in tables for row in base.execute(question).fetchall()]
    base.close()
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The plan run from end to end without a break."""
    run = RunStore.create(PLAN, "cpu", tmp_path_factory.mktemp("whole") / "whole.sqlite")
    assert evaluate(run, device="cpu")
    return run


def test_a_run_that_was_stopped_goes_on_to_the_very_same_numbers(whole: RunStore, tmp_path: Path) -> None:
    path, rounds = tmp_path / "cut.sqlite", 0
    while True:
        with RunStore.create(PLAN, "cpu", path) as run:
            before = len(run.done())

            def stop(advance: Progress, most: int = before + 4) -> bool:
                return advance.done >= most

            ended = evaluate(run, device="cpu", on_progress=stop)
            rounds += 1
            assert ended or len(run.done()) == before + 4
            if ended:
                assert content(run) == content(whole)
                break
    assert rounds > 3


def test_a_killed_process_loses_the_batch_in_hand_and_nothing_else(whole: RunStore, tmp_path: Path) -> None:
    path, plan = tmp_path / "killed.sqlite", tmp_path / "plan.json"
    plan.write_text(PLAN.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "core", "evaluate", str(plan), "--store", str(path), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            with RunStore(path) as run:
                if len(run.done()) >= 3:
                    break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with RunStore(path) as run:
        kept = run.done()
        assert 3 <= len(kept) < len(list(tasks(PLAN)))
        fresh = []
        evaluate(run, device="cpu", on_progress=lambda advance: fresh.append(advance.done) and False)
        assert min(fresh) == len(kept)  # nothing that was kept is computed again
        assert content(run) == content(whole)


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
        images = torch.zeros(1, 1, 2, 2)
        half = Step(5, 10, images, torch.zeros(1, 2), torch.zeros(1), torch.zeros(1, dtype=torch.bool))
        eta.observe_step(todo[0], 2.0, half)
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


def test_more_images_than_there_are_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="17 labeled images in 'test'"):
        RunStore.create(Plan(n_images=18), "cpu", tmp_path / "r.sqlite")
    assert not list(tmp_path.iterdir())


def test_an_attack_that_does_not_fit_gets_a_sentence_and_the_rest_stays(tmp_path: Path) -> None:
    plan = PLAN.model_copy(
        update={"attacks": (PLAN.attacks[0],), "defenses": ((Method(name="gaussian", params={"window": 31}),),)}
    )
    with (
        RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run,
        pytest.raises(InvalidInput, match="31×31 and the image 28×28"),
    ):
        evaluate(run, device="cpu")


def test_a_full_disk_gets_a_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with RunStore.create(PLAN, "cpu", tmp_path / "full.sqlite") as run:
        evaluate(run, device="cpu", on_progress=lambda advance: advance.done >= 5)
        before = content(run)
        pages = run.database.connection.execute("PRAGMA page_count").fetchone()[0]
        run.database.connection.execute(
            f"PRAGMA max_page_count = {pages}"
        )  # what SQLite does when no page more can be had
        with pytest.raises(InvalidInput, match=r"disk is full.*still there"):
            evaluate(run, device="cpu")
        assert len(content(run)) >= len(before)
    with RunStore(tmp_path / "full.sqlite") as again:
        assert evaluate(again, device="cpu")


@pytest.mark.parametrize("damage", ["text", "middle", "empty"])
def test_a_damaged_file_gets_a_sentence_and_the_others_stay(
    damage: str, whole: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    store.folder().mkdir()
    good, bad = store.folder() / "good.sqlite", store.folder() / "bad.sqlite"
    good.write_bytes(whole.path.read_bytes())
    data = bytearray(good.read_bytes())
    if damage == "text":
        data = bytearray(b"these are no results " * 100)
    elif damage == "middle":
        data[:200] = os.urandom(200)
    else:
        data = bytearray()
    bad.write_bytes(data)
    listed = {one.name: one for one in run_index.list_runs()}
    assert listed["good"].plan == PLAN.resolved() and listed["good"].done == listed["good"].total
    assert (listed["bad"].plan is None and "damaged" in listed["bad"].problem) or "could not be" in listed[
        "bad"
    ].problem
    with pytest.raises(InvalidInput):
        run_index.open_run("bad")
    run_index.delete("bad")
    assert [one.name for one in run_index.list_runs()] == ["good"]


@pytest.mark.parametrize("name", ["", "../good", "a/b", ".hidden", "nobody"])
def test_no_path_is_taken_from_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    with pytest.raises(InvalidInput, match="no run called"):
        run_index.open_run(name)


def test_other_images_than_it_began_with_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStore.create(PLAN, "cpu", tmp_path / "r.sqlite") as run:
        run.check_images()
        real = domains.get("mnist").labels("test")
        monkeypatch.setattr("core.domains.mnist.Mnist.labels", lambda self, split: np.roll(real, 1))
        with pytest.raises(InvalidInput, match="not those that 'r' began with"):
            evaluate(run, device="cpu")
        monkeypatch.setattr("core.domains.mnist.Mnist.labels", lambda self, split: real[:3])
        with pytest.raises(InvalidInput, match="not those that"):
            run.check_images()
        monkeypatch.setattr("core.domains.mnist.Mnist.splits", lambda self: ())
        with pytest.raises(InvalidInput, match="not on this machine"):
            run.check_images()


def test_other_weights_than_it_began_with_are_refused_and_nothing_is_lost(whole: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    mnist = domains.get("mnist")
    nearly, other = (mnist.classifier(name, "cpu") for name in (PLAN.classifier_names()[0], "b"))
    with torch.no_grad():  # as another device rounds
        nearly.get_submodule("network.features.0").weight.mul_(1 + 1e-5)
    with RunStore.create(PLAN, "cpu", path) as run:
        evaluate(run, device="cpu", on_progress=lambda advance: advance.done >= 4)
        kept = run.done()
        with pytest.raises(InvalidInput, match="its weights are others now"):
            evaluate(run, device="cpu", classifiers=lambda name: other)
        assert run.done() == kept
        evaluate(run, device="cpu", classifiers=lambda name: nearly, on_progress=lambda advance: advance.done >= 5)
        assert len(run.done()) == 5
        assert evaluate(run, device="cpu")
        with pytest.raises(InvalidInput, match="its weights are others now"):  # also where nothing is left to do
            evaluate(run, device="cpu", classifiers=lambda name: other)


def test_a_run_that_remembers_no_classifier_is_not_gone_on_with(tmp_path: Path) -> None:
    with RunStore.create(PLAN, "cpu", tmp_path / "r.sqlite") as run:
        evaluate(run, device="cpu", on_progress=lambda advance: advance.done >= 2)
        base = sqlite3.connect(run.path)
        with base:
            base.execute("DELETE FROM meta WHERE key LIKE 'classifier %'")
        base.close()
        with pytest.raises(InvalidInput, match="Delete the run"):
            evaluate(run, device="cpu")


@pytest.mark.parametrize("links", [True, False])
def test_two_who_begin_a_run_at_once_write_into_one_file(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, first = tmp_path / "both.sqlite", []

    def meanwhile(plan: Plan) -> npt.NDArray[np.int64]:
        monkeypatch.setattr(store, "sample_indices", compute.sample_indices)
        first.append(RunStore.create(plan, "cpu", path))
        return compute.sample_indices(plan)

    if links:
        monkeypatch.setattr(store, "sample_indices", meanwhile)
    else:

        def refuse(*_: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refuse)
        first.append(RunStore.create(PLAN, "cpu", path))
    second = RunStore.create(PLAN, "cpu", path)
    task = next(tasks(PLAN))
    classifier = domains.get("mnist").classifier()
    x, y = load_images(domains.get("mnist"), "test", second.indices[:5].tolist(), classifier)
    first[0].add(task, compute.compute_task(PLAN, task, lambda _name: classifier, x, y))
    assert second.done() == first[0].done() == {task.key}
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []
    second.close(), first[0].close()


def test_a_file_of_another_plan_is_not_overwritten(whole: RunStore) -> None:
    with pytest.raises(InvalidInput, match="holds another evaluation"):
        RunStore.create(PLAN.model_copy(update={"seed": 1}), "cpu", whole.path)


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
