"""A run on disk: cut off, gone on with, killed, damaged; and what one task computes."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from core import domains
from core.domains.loading import load_images
from core.evaluate import compute, run_index, store
from core.evaluate.plan import Plan
from core.evaluate.running import evaluate
from core.evaluate.store import OtherWeights, RunStore
from core.evaluate.tasks import tasks
from core.inputs import InvalidInput
from core.models import artifacts
from core.progress import Progress
from core.recipe import Method
from core.reproduce.base import Settings
from core.reproduce.plan_table import measured_plan
from tests.core.evaluate.stored_runs import COMPUTED as PLAN
from tests.core.evaluate.stored_runs import content

ROOT = Path(__file__).resolve().parents[3]


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


def test_more_images_than_there_are_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="17 labeled images in 'test'"):
        RunStore.create(Plan(n_images=18), "cpu", tmp_path / "r.sqlite")
    assert not list(tmp_path.iterdir())


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
        with pytest.raises(InvalidInput, match=r"The weights of .* are not those"):
            evaluate(run, device="cpu", classifiers=lambda name: other)
        assert run.done() == kept
        evaluate(run, device="cpu", classifiers=lambda name: nearly, on_progress=lambda advance: advance.done >= 5)
        assert len(run.done()) == 5
        assert evaluate(run, device="cpu")
        with pytest.raises(InvalidInput, match=r"The weights of .* are not those"):  # also where nothing is left to do
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


def test_a_run_goes_on_with_the_weights_of_defenses_and_detectors_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retrained denoiser keeps its name; what was measured with the old weights must not be mixed with it."""
    learned = Method(name="hgd", params={"weights": "mnist_cnn"})
    plan = Plan(
        domain="mnist",
        classifiers=("cnn",),
        n_images=2,
        attacks=(Method(name="fgsm"),),
        defenses=((Method(name="median"), learned),),
        detectors=(Method(name="mask_disagreement"),),
        attacker="grey",
    ).resolved()
    used = plan.checksums()
    denoiser = artifacts.find_artifact("denoiser", "hgd_mnist_cnn")
    assert (
        used["hgd_mnist_cnn"]
        == hashlib.sha256((denoiser.folder / "hgd_mnist_cnn.safetensors").read_bytes()).hexdigest()
    )
    assert len(used) == 2 and any(name.startswith("mnist_a_fc") for name in used)
    with RunStore.create(plan, "cpu", tmp_path / "r.sqlite") as run:
        assert evaluate(run, device="cpu") and evaluate(run, device="cpu")
        for name in used:
            monkeypatch.setattr(Plan, "checksums", lambda self, name=name: {**used, name: "0" * 64})
            with pytest.raises(OtherWeights, match=rf"weights '{name}' are not those .* r.sqlite in"):
                evaluate(run, device="cpu")
    settings = Settings(device="cpu", store=tmp_path / "r.sqlite")
    with pytest.raises(OtherWeights), measured_plan(plan, settings):
        pass
    steps: list[Progress] = []
    with measured_plan(plan, settings, steps.append, anew=True) as measured:  # type: ignore[arg-type]
        assert measured is not None and steps, "nothing was computed again"
