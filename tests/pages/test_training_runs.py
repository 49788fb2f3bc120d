"""The Training page: runs that failed, were interrupted, overfitted, are damaged or somebody else's."""

from __future__ import annotations

import json
import os

import pytest

from core.training import runs
from core.training.run_status import Status, write_status
from tests.core.training.test_runs import data  # noqa: F401  (a fixture)
from tests.pages.training import arrive, sentences, write_run
from tests.pages.visits import verdict

pytestmark = pytest.mark.usefixtures("data")


def test_a_plan_that_failed_says_why_and_can_be_resumed_or_deleted() -> None:
    write_run(Status("failed", "", 5, 10, 1.7e9, 1.7e9, "A loss of mnist_tiny is no number; lower the plan's max_lr."))
    app = arrive()
    assert verdict(app) == "mnist_tiny failed." and "lower the plan's max" in sentences(app)
    assert not app.button(key="go_mnist_tiny").disabled and not app.button(key="delete_mnist_tiny").disabled


def test_a_run_whose_process_died_is_interrupted() -> None:
    write_run(Status("running", "classifier, epoch 1 of 3", 5, 10, 1.7e9, 1.7e9))
    app = arrive()
    assert verdict(app).startswith("mnist_tiny was interrupted at 50 %: its process ended. Resume goes on")
    assert "interrupted at 50 %" in sentences(app)


def test_damaged_folders_are_lines_that_can_be_deleted() -> None:
    root = runs.runs_folder()
    for name in ("broken", os.fsdecode(b"\xff"), "*" * 200):
        (root / name).mkdir(parents=True)
        (root / name / "curves.jsonl").write_bytes(b'{"losses": {"a": NaN}, "stage": -1}\n\x00{')
    (root / "broken" / "plan.json").write_text('{"name": 1}')
    folder = write_run(Status("done", "", 3, 3, 1.7e9, 1.7e9))
    (folder / "samples.safetensors").write_bytes(b"\x00" * 40)
    hostile = [
        {"losses": {"a": 1, "b": "x", "c": True}, "stage": 0, "epoch": 1, "step": 1, "metrics": 5},
        {"losses": {"a": 1e300}, "stage": 0, "epoch": 0, "step": 10**11, "metrics": {"m": [1]}},
        {"losses": {"a": 1}, "stage": 900, "epoch": 1, "step": 0},
        {"losses": {"a": 1}, "stage": "0", "epoch": None},
    ]
    (folder / "curves.jsonl").write_text("\n".join(map(json.dumps, hostile)))
    app = arrive()
    assert verdict(app).startswith("mnist_tiny is trained") and "is gone: there is no such artifact" in sentences(app)
    lines = [str(m.value) for m in app.markdown if str(m.value).startswith("✗")]
    assert len(lines) == 3 and all(len(line) < 800 for line in lines)
    app.query_params["training"] = "broken"
    app.run()
    assert not app.exception and verdict(app) == "This training cannot be shown."
    for _ in range(3):
        next(b for b in app.button if str(b.key).startswith("delete_") and b.key != "delete_mnist_tiny").click().run()
        app.button(key="tr_sure").click().run()
        assert not app.exception
    assert [run.name for run in runs.list_runs()] == ["mnist_tiny"]


def test_catastrophic_overfitting_is_told() -> None:
    folder = write_run(Status("done", "", 3, 3, 1.7e9, 1.7e9))
    accuracies = {1: 0.5, 2: 0.1}
    lines = [
        {
            "stage": 0,
            "epoch": epoch,
            "step": epoch,
            "losses": {},
            "metrics": {"held-out accuracy under attack": accuracy},
        }
        for epoch, accuracy in accuracies.items()
    ]
    (folder / "curves.jsonl").write_text("\n".join(map(json.dumps, lines)))
    warnings = [str(warning.value) for warning in arrive().warning]
    assert any("Catastrophic overfitting" in text and "from 50.0 % to 10.0 % in epoch 2" in text for text in warnings)
    (folder / "curves.jsonl").write_text(json.dumps(lines[0]))
    assert not any("overfitting" in str(warning.value) for warning in arrive().warning)


@pytest.mark.parametrize("name", ["n" * 300, "../x", "*a*", "gone", "a\nb", "\ufffd", "a\x00b"])
def test_a_link_to_no_training_gets_a_sentence(name: str) -> None:
    app = arrive()
    app.query_params["training"] = name
    app.run()
    assert not app.exception and "There is no training called" in app.warning[0].value


def test_another_browsers_training_can_only_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    write_run(Status("stopped", "", 5, 10, 1.7e9, 1.7e9), owner="somebody")
    app = arrive()
    assert "started by somebody else" in sentences(app) and verdict(app).startswith("mnist_tiny was stopped")
    assert not [b for b in app.button if b.key in ("go_mnist_tiny", "delete_mnist_tiny", "stop")]
    folder = write_run(Status("running", "starting", 0, 0, 1.7e9, 4e9), "mnist_other", owner="somebody")
    app.run()
    assert app.button(key="stop").disabled and not (folder / "stop").exists()
    assert not [b for b in app.button if b.key == "stop_mnist_other"]
    write_status(folder, Status("stopped"))
