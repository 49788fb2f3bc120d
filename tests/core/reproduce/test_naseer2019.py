"""The tables of Naseer et al. 2019: their plans, their numbers beside the published ones, their conclusions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.attacks import LaVAN
from core.cli import main
from core.defenses import LGS, TVM
from core.evaluate.compute import Predictions, TaskResult
from core.evaluate.metrics import Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE
from core.evaluate.store import RunStore
from core.evaluate.tasks import Task, judged_defenses, tasks
from core.inputs import InvalidInput
from core.reproduce import TABLES, Settings
from core.reproduce.base import as_table
from core.reproduce.naseer2019 import TABLE_1
from core.reproduce.plan_table import PlanTable

SIZES = {"lgs-table-1": 21, "lgs-table-2": 6, "lgs-table-3": 6, "lgs-figure-3": 7}


def plan_table(name: str) -> PlanTable:
    table = TABLES[name]
    assert isinstance(table, PlanTable)
    return table


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set that is not on this machine, as far as a plan needs it."""
    monkeypatch.setattr("core.domains.imagenette.Imagenette.missing_reason", lambda self: None)
    monkeypatch.setattr("core.domains.imagenette.Imagenette.labels", lambda self, split: np.arange(100) % 10)


def filled(run: RunStore, right: dict[tuple[int, int], float]) -> Metrics:
    """Every task computed: the proportion of (attack, defense) is right, the rest is the target."""
    for task in tasks(run.plan):
        if task.batch is None:
            continue
        here = run.labels[task.batch * 25 : task.batch * 25 + 25]
        targets = (here + 1) % 10 if task.attack != NO_ATTACK else np.full(len(here), -1)
        answers = {}
        for judge in judged_defenses(run.plan, task):
            many = round(right.get((task.attack, judge), 0.5) * len(here))
            said = np.where(np.arange(len(here)) < many, here, (here + 1) % 10).astype(np.int32)
            sure = np.full(len(here), 0.95, np.float32)
            answers[judge] = Predictions(said, sure, sure, 0.001 * (judge + 2))
        run.add(task, TaskResult(answers, targets.astype(np.int32), 1.0))
    return Metrics(run)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_each_table_is_one_plan_and_has_all_rows(name: str, labels: None, tmp_path: Path) -> None:
    table = plan_table(name)
    plan = table.plan(Settings(n_images=50, domain="imagenette"))
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as run:
        metrics = filled(run, {})
        rows = as_table(table.rows(metrics))
        assert len(rows) == SIZES[name]
        text = table.finished(metrics, table.rows(metrics), table.conclusion(metrics)).report
        assert "50 test images of Imagenette, seed 0" in text and "Published:" in text


def test_table_1_tells_the_shares_and_who_is_first(labels: None, tmp_path: Path) -> None:
    table = plan_table("lgs-table-1")
    plan = table.plan(Settings(n_images=50, domain="imagenette"))
    attack, first, tvm = plan.built_attacks[0], plan.systems[0].defense, plan.systems[14].defense
    assert isinstance(attack, LaVAN) and attack.side(299, 299) == 42 and attack.iterations == 1000
    assert isinstance(first, LGS) and first.strength == 2.3 and isinstance(tvm, TVM) and tvm.weight == 10
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as run:
        metrics = filled(
            run,
            {(NO_ATTACK, NO_DEFENSE): 1.0, (NO_ATTACK, 0): 0.96, (0, 0): 0.8, (0, 5): 0.72, (1, 5): 0.72, (1, 0): 0.6},
        )
        rows = {row["Defense"]: row for row in as_table(table.rows(metrics))}
        assert list(rows)[1:] == list(TABLE_1)
        assert str(rows["LGS λ 2.3"]["2 %"]).startswith("80.0 % (40 of 50;")
        assert rows["LGS λ 2.3"]["2 %, published"] == "70.9 %" and rows["no defense"]["4 %, published"] == "0.78 %"
        conclusion = table.conclusion(metrics)
        assert "2 %: LGS is first (LGS λ 2.3 80.0 %" in conclusion and "3 %: LGS is not first" in conclusion
        assert "LGS λ 2.3 costs 4.0 points (within 6)" in conclusion


def test_table_3_counts_the_target_and_knows_the_defense(labels: None, tmp_path: Path) -> None:
    table = plan_table("lgs-table-3")
    plan = table.plan(Settings(n_images=50, domain="imagenette"))
    assert plan.backward == "identity" and plan.attacker == "adaptive"
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as run:
        metrics = filled(run, {(0, 0): 0.8, (0, NO_DEFENSE): 0.2})
        rows = {row["Defense"]: row for row in as_table(table.rows(metrics))}
        assert str(rows["LGS λ 2.3"]["becomes the target"]).startswith("20.0 % (10 of 50;")
        assert str(rows["no defense"]["becomes the target"]).startswith("80.0 % (40 of 50;")
        assert table.conclusion(metrics).startswith("From the lowest: LGS λ 2.3, ")
    with RunStore.create(plan, "cpu", tmp_path / "growing.sqlite") as run:
        assert table.conclusion(Metrics(run)).startswith("No image")
        part = [task for task in tasks(plan) if task.batch == 0]
        for task in part:
            none, right = np.full(25, -1, np.int32), run.labels[:25].astype(np.int32)
            sure = np.ones(25, np.float32)
            run.add(
                task,
                TaskResult(
                    {judge: Predictions(right, sure, sure, 0.0) for judge in judged_defenses(plan, task)}, none, 1.0
                ),
            )
        run.add(Task(0, 0, 0, 1), TaskResult({0: Predictions(right, sure, sure, 0.0)}, none, 1.0))
        assert all("0 of 25;" in str(row["any wrong class"]) for row in as_table(table.rows(Metrics(run))))


def test_table_2_counts_only_what_the_patch_turned_into_its_target(labels: None, tmp_path: Path) -> None:
    table = plan_table("lgs-table-2")
    with RunStore.create(table.plan(Settings(n_images=25, domain="imagenette")), "cpu", tmp_path / "run.sqlite") as run:
        labels_, target = run.labels, 9
        others = labels_ != target
        bare = np.where(np.arange(25) % 2 == 0, target, labels_).astype(np.int32)
        sure = np.where(np.arange(25) < 10, 0.95, 0.5).astype(np.float32)
        became = int(((bare == target) & others).sum())
        surely = int(((bare == target) & others & (sure >= 0.9)).sum())
        answers = {judge: Predictions(labels_.astype(np.int32), sure, sure, 0.0) for judge in range(5)}
        answers[NO_DEFENSE] = Predictions(bare, sure, sure, 0.0)
        run.add(Task(0, 0, NO_DEFENSE, 0), TaskResult(answers, np.full(25, target, np.int32), 1.0))
        rows = as_table(table.rows(Metrics(run)))
        assert 0 < surely < became
        assert f"(0 of {became};" in str(rows[0]["right"]) and f"({became} of {became};" in str(rows[1]["right"])
        assert f"({surely} of {surely};" in str(rows[1]["right, at 90 % or more"])
    with pytest.raises(InvalidInput, match="needs a target"):
        table.plan(Settings(n_images=25, domain="mnist"))


def test_a_plan_from_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "evaluate --domain mnist --images 10 --attack fgsm --eps 20/255,40/255 --defense median+jpeg:quality=50 "
        "--attacker grey --device cpu --detector feature_squeezing"
    )
    command = [*words.split(), "--store", str(tmp_path / "run.sqlite"), "--out", str(tmp_path)]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "Median filter → JPEG (quality 50) (not known)" in text and "FGSM (eps 0.1569)" in text
    assert "10 test images of MNIST" in text and "of 10; " in text and "flagged" in text
    assert len(list(tmp_path.glob("mnist-*.csv"))) == 1
    assert main(command) == 0, "again: nothing is left to compute"
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["evaluate", "lgs-table-9"], "neither a file nor a paper's table"),
        (["evaluate", "--domain", "mnist", "--images", "9999999"], "at most 1e+06"),
        (["evaluate", "--attack", "pgd", "--eps", "9"], "eps"),
        (["evaluate", "--defense", "lgs:window=200"], "at most 64"),
    ],
)
def test_a_wrong_command_gets_a_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
