"""Names for what a training makes, and the lines of its curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core import InvalidInput
from core.training import find_plan, runs
from core.training.data import DATASETS
from core.training.learning_curves import MAX_POINTS, curves_table, learning_curves
from core.training.naming import defense_of, free_name, rename
from core.training.plans import TrainingPlan
from core.training.run_status import Status
from core.training.runs import TrainingRun


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    return tmp_path


def written(folder: Path, lines: list[Any], name: str = "mnist_a", **status: Any) -> TrainingRun:
    (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return TrainingRun(name, folder, find_plan(name), Status(**status))


def line(epoch: int, step: int, stage: int = 0, **values: float) -> dict[str, Any]:
    return {"stage": stage, "epoch": epoch, "step": step, "lr": 0.1, "losses": values, "metrics": {"accuracy": 0.5}}


def test_a_free_name_is_the_plans_own_or_the_next() -> None:
    shipped = find_plan("mnist_a")
    assert free_name(shipped) == "mnist_a_2"
    (runs.runs_folder() / "mnist_a_2").mkdir(parents=True)
    assert free_name(shipped) == "mnist_a_3"
    other = TrainingPlan(**{**shipped.model_dump(), "name": "mnist_mine"})
    assert free_name(other) == "mnist_mine"
    longest = TrainingPlan(**{**shipped.model_dump(), "name": f"mnist_{'x' * 74}"})
    (runs.runs_folder() / longest.name).mkdir()
    assert free_name(longest) == f"mnist_{'x' * 69}_2"


def test_a_renamed_plan_has_a_title_of_its_own_that_a_card_takes() -> None:
    shipped = find_plan("mnist_a")
    assert rename(shipped, "mnist_b2").title == "Model A (mnist_b2)"
    assert rename(shipped, f"mnist_{'x' * 74}").title == f"mnist_{'x' * 74}"


@pytest.mark.parametrize(
    ("plan", "name", "sentence"),
    [
        ("mnist_a", "mnist_b", "'mnist_b' ships with Mirage"),
        ("mnist_a", "other", "is named mnist_NAME"),
        ("mnist_a", "mnist_a b", "A name has 1 to 80 letters"),
        ("mnist_a", "mnist_" + "x" * 75, "A name has 1 to 80 letters"),
        ("hgd_cifar10_vgg", "cifar10_vgg_3", "begins with hgd_, because"),
        ("hgd_cifar10_vgg", "dkn_cifar10_vgg_3", "begins with hgd_, because"),
        ("hgd_cifar10_vgg", "hgd_", "begins with hgd_, because"),
        ("masks_mnist_a_fc_3", "masks_mnist_a_fc_3", "ships with Mirage"),
        ("masks_mnist_a_fc_3", "mnist_a_fc_3", "ships with Mirage"),
    ],
)
def test_names_that_no_list_would_find_or_that_are_taken_are_refused(plan: str, name: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        rename(find_plan(plan), name)


def test_a_denoisers_defense_is_found_by_its_name() -> None:
    assert [defense_of(name) for name in ("hgd_x", "fl_", "x_hgd", "dkn_mnist_a")] == ["hgd", "", "", "dkn"]


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.shipped])
def test_what_ships_is_never_missing_and_has_as_many_images_as_it_says(name: str) -> None:
    dataset = DATASETS[name]
    assert dataset.missing_reason() is None and dataset.count() == len(dataset.load(True)[1])


def test_curves_are_lines_against_the_epoch(root: Path) -> None:
    lines = [line(1, 10, a=1.0), line(1, 12, a=0.5), line(2, 22, a=0.4), line(2, 24, a=0.3), line(3, 30, a=0.2)]
    loss, accuracy = learning_curves(written(root, lines))
    assert (loss.name, loss.is_loss, accuracy.name, accuracy.is_loss) == ("a", True, "accuracy", False)
    assert loss.epochs == pytest.approx((10 / 12, 1, 22 / 12, 2, 2.5)) and loss.values == (1, 0.5, 0.4, 0.3, 0.2)
    first = learning_curves(written(root, lines[:1], steps=6 * 12, state="running"))[0]
    assert first.epochs == pytest.approx((10 / 12,))  # from the steps of all epochs, 6 of them
    masks = written(root, [line(1, 10, a=1.0), line(1, 20, stage=1, b=2.0)], "masks_mnist_a_fc_3", steps=16 * 100)
    assert [(c.stage, c.name, c.epochs) for c in learning_curves(masks) if c.is_loss] == [
        (0, "a", (0.1,)),
        (1, "b", (0.2,)),
    ]


def test_many_points_are_averaged(root: Path) -> None:
    lines = [line(1, step, a=step % 2) for step in range(1, 4 * MAX_POINTS + 1)]
    loss = learning_curves(written(root, lines, steps=24 * MAX_POINTS))[0]
    assert len(loss.values) == MAX_POINTS and set(loss.values) == {0.5} and loss.epochs[-1] == 1


def test_the_table_of_curves_has_a_column_for_each_loss_and_metric(root: Path) -> None:
    run = written(root, [line(1, 1, a=1.0), {**line(1, 2, b=2.5), "metrics": {'x,"': 1}}])
    assert curves_table(run) == ('stage,epoch,step,lr,a,b,accuracy,"x,"""\n0,1,1,0.1,1.0,,0.5,\n0,1,2,0.1,,2.5,,1\n')
