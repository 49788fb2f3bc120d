"""The headline of an evaluation against the numbers of its run, in the usual and in every odd case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.verdicts.evaluate import evaluate_verdict, known_words
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Metrics, Plan, RunStore
from core.evaluate import report as reports
from core.evaluate.tasks import Task
from core.recipe import Method
from tests.core.evaluate.filled import Predict, fill

FGSM = Method(name="fgsm", params={"eps": 40 / 255})
PGD = Method(name="pgd", params={"eps": 40 / 255})
MEDIAN, BITS, JPEG = (Method(name="median"),), (Method(name="bitdepth"),), (Method(name="jpeg"),)
Labels = npt.NDArray[np.int64]


def plan(**changes: Any) -> Plan:
    return Plan(**{"domain": "mnist", "n_images": 10, "batch": 5, "attacks": (FGSM,), "defenses": (), **changes})


def right(count: int, labels: Labels, batch: int | None) -> npt.NDArray[np.integer]:
    """Of ten images the first `count` are right, the others the next class."""
    first = 5 * (batch or 0)
    return np.where(np.arange(first, first + len(labels)) < count, labels, (labels + 1) % 10)


def answers(table: dict[tuple[int, int, int], int]) -> Predict:
    """How many of ten are right, by attack, by the defense that the attacker knows, and by the one that judges."""

    def predict(task: Task, defense: int, labels: Labels) -> npt.NDArray[np.integer]:
        return right(table.get((task.attack, task.known_defense, defense), 10), labels, task.batch)

    return predict


def verdict_of(tmp_path: Path, made: Plan, predict: Predict, most: int = 10**6, **options: Any) -> str:
    path = tmp_path / "run.sqlite"
    target = int(made.target) if made.target else -1
    fill(made, path, predict, most, target)
    with RunStore(path) as run:
        return evaluate_verdict(Metrics(run), **options)


BOTH = {(NO_ATTACK, NO_DEFENSE, NO_DEFENSE): 9, (0, NO_DEFENSE, NO_DEFENSE): 2, (0, NO_DEFENSE, 0): 6, (0, 0, 0): 3}


@pytest.mark.parametrize(
    ("changes", "table", "sentence"),
    [
        (
            {"defenses": (MEDIAN,)},
            BOTH,
            "FGSM (eps 0.1569) leaves 2 of 10 right (9 without it); Median filter brings back 4 of 7 fooled (57 %, 25-84). "
            "Known to the attacker: 1.",
        ),
        (
            {"defenses": (MEDIAN,), "attacker": "grey"},
            BOTH,
            "FGSM (eps 0.1569) leaves 2 of 10 right (9 without it); Median filter brings back 4 of 7 fooled (57 %, 25-84).",
        ),
        (
            {"defenses": (MEDIAN,), "attacker": "adaptive"},
            BOTH,
            "FGSM (eps 0.1569) leaves 2 of 10 right (9 without it); known to the attacker, Median filter leaves 3 of 10.",
        ),
        ({"attacks": ()}, {(NO_ATTACK, NO_DEFENSE, NO_DEFENSE): 9}, "Without an attack 9 of 10 are right (90 %)."),
        (
            {"attacks": (), "defenses": (MEDIAN, BITS)},
            {(NO_ATTACK, NO_DEFENSE, NO_DEFENSE): 9, (NO_ATTACK, NO_DEFENSE, 0): 7, (NO_ATTACK, NO_DEFENSE, 1): 4},
            "Without an attack 9 of 10 are right (90 %); Bit-depth reduction breaks 5 of them, the most.",
        ),
        (
            {"attacks": (), "defenses": (MEDIAN, BITS)},
            {},
            "Without an attack 10 of 10 are right (100 %); no defense breaks any of them.",
        ),
        (
            {"attacks": (), "detectors": (Method(name="feature_squeezing"),)},
            {},
            "Without an attack 10 of 10 are right (100 %); Feature squeezing flags 0 of 10 clean images.",
        ),
        (
            {"defenses": (MEDIAN,)},
            {(NO_ATTACK, NO_DEFENSE, NO_DEFENSE): 0, (0, NO_DEFENSE, NO_DEFENSE): 0},
            "None of 10 images is right without an attack: an attack has nothing to fool.",
        ),
        (
            {"defenses": (MEDIAN,)},
            {(NO_ATTACK, NO_DEFENSE, NO_DEFENSE): 9, (0, NO_DEFENSE, NO_DEFENSE): 9},
            "FGSM (eps 0.1569) fools none of the 9 of 10 that are right.",
        ),
        (
            {"attacks": (FGSM, PGD)},
            {(0, NO_DEFENSE, NO_DEFENSE): 3, (1, NO_DEFENSE, NO_DEFENSE): 1},
            "PGD (eps 0.1569) leaves 1 of 10 right (10 without it).",
        ),
        (
            {"attacks": (FGSM, PGD), "defenses": (MEDIAN,), "attacker": "grey"},
            {
                (0, NO_DEFENSE, NO_DEFENSE): 0,
                (1, NO_DEFENSE, NO_DEFENSE): 0,
                (0, NO_DEFENSE, 0): 5,
                (1, NO_DEFENSE, 0): 2,
            },
            "FGSM (eps 0.1569) and PGD (eps 0.1569) each leave 0 of 10 right (10 without them); "
            "Median filter brings back 5 of 10 fooled (50 %, 24-76) under FGSM (eps 0.1569).",
        ),
        (
            {"attacks": (FGSM, PGD, Method(name="bim")), "defenses": ()},
            {(n, NO_DEFENSE, NO_DEFENSE): 0 for n in range(3)},
            "FGSM (eps 0.1569) and 2 others each leave 0 of 10 right (10 without them).",
        ),
        (
            {"defenses": (MEDIAN, BITS), "attacker": "grey"},
            {(0, NO_DEFENSE, n): 0 for n in (NO_DEFENSE, 0, 1)},
            "FGSM (eps 0.1569) leaves 0 of 10 right (10 without it); no defense brings back any of the 10 fooled.",
        ),
        (
            {"defenses": (MEDIAN,), "attacker": "grey"},
            {(0, NO_DEFENSE, n): 0 for n in (NO_DEFENSE, 0)},
            "FGSM (eps 0.1569) leaves 0 of 10 right (10 without it); Median filter brings back none of the 10 fooled.",
        ),
        (
            {"defenses": (MEDIAN, BITS), "attacker": "grey"},
            {(0, NO_DEFENSE, NO_DEFENSE): 0, (0, NO_DEFENSE, 0): 5, (0, NO_DEFENSE, 1): 5},
            "FGSM (eps 0.1569) leaves 0 of 10 right (10 without it); "
            "Median filter and Bit-depth reduction each bring back 5 of 10 fooled (50 %, 24-76).",
        ),
        (  # where two bring back as many, the one that stands when it is known is the better one
            {"defenses": (MEDIAN, BITS)},
            {(0, NO_DEFENSE, NO_DEFENSE): 0, (0, NO_DEFENSE, 0): 5, (0, NO_DEFENSE, 1): 5, (0, 0, 0): 1, (0, 1, 1): 4},
            "FGSM (eps 0.1569) leaves 0 of 10 right (10 without it); "
            "Bit-depth reduction brings back 5 of 10 fooled (50 %, 24-76). Known to the attacker: 4.",
        ),
    ],
)
def test_the_headline_says_what_the_run_found(
    changes: dict[str, Any], table: dict[tuple[int, int, int], int], sentence: str, tmp_path: Path
) -> None:
    assert verdict_of(tmp_path, plan(**changes), answers(table)) == sentence


def test_a_target_is_what_the_headline_speaks_of(tmp_path: Path) -> None:
    def predict(task: Task, defense: int, labels: Labels) -> npt.NDArray[np.integer]:
        return labels if task.attack == NO_ATTACK else np.full_like(labels, 3)

    made = plan(target="3")
    text = verdict_of(tmp_path, made, predict)
    with RunStore(tmp_path / "run.sqlite") as run:
        own = int((run.labels == 3).sum())
    assert 0 < own < 10
    assert (
        text
        == f"FGSM (eps 0.1569) turns {10 - own} of {10 - own} into “3” and leaves {own} of 10 right (10 without it)."
    )
    (tmp_path / "run.sqlite").unlink()
    assert verdict_of(tmp_path, made, answers({})).startswith(f"FGSM (eps 0.1569) turns none of {10 - own} into “3”")


def test_of_several_classifiers_the_headline_names_the_one_that_it_speaks_of(tmp_path: Path) -> None:
    def predict(task: Task, defense: int, labels: Labels) -> npt.NDArray[np.integer]:
        return right(10 if task.attack == NO_ATTACK else 3 + task.classifier, labels, task.batch)

    made = plan(classifiers=("a", "b"))
    first = verdict_of(tmp_path, made, predict)
    with RunStore(tmp_path / "run.sqlite") as run:
        second = evaluate_verdict(Metrics(run), 1)
    assert first.endswith(": FGSM (eps 0.1569) leaves 3 of 10 right (10 without it).")
    assert second.endswith(": FGSM (eps 0.1569) leaves 4 of 10 right (10 without it).")
    assert first.split(":")[0] != second.split(":")[0]


def test_an_unfinished_run_says_so_and_compares_the_same_images(tmp_path: Path) -> None:
    """Four tasks: clean and FGSM on the first five images, clean on the second five, then FGSM there."""
    table = {(0, NO_DEFENSE, NO_DEFENSE): 2}
    for most, words in (
        (0, "The evaluation is unfinished; nothing is known yet."),
        (
            1,
            "Unfinished, 1 of 4 parts done, numbers over 5 of 10 images. "
            "Without an attack 5 of 5 are right (100 %); no attack is done yet.",
        ),
        (
            3,
            "Unfinished, 3 of 4 parts done, numbers over 5 of 10 images. FGSM (eps 0.1569) leaves 2 of 5 right (5 without it).",
        ),
        (4, "FGSM (eps 0.1569) leaves 2 of 10 right (10 without it)."),
    ):
        assert verdict_of(tmp_path, plan(), answers(table), most) == words
        (tmp_path / "run.sqlite").unlink()
    assert (
        verdict_of(tmp_path, plan(), answers(table), 0, busy=True) == "The evaluation is at work; nothing is known yet."
    )
    (tmp_path / "run.sqlite").unlink()
    assert verdict_of(tmp_path, plan(), answers(table), 2, busy=True).startswith(
        "At work, 2 of 4 parts done, numbers over 5"
    )


def test_tables_and_captions_of_an_unfinished_run_say_on_how_many_images(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    fill(
        plan(defenses=(MEDIAN,), detectors=(Method(name="feature_squeezing"),)),
        path,
        answers({(0, NO_DEFENSE, NO_DEFENSE): 2}),
        most=4,
    )
    with RunStore(path) as run:
        metrics = Metrics(run)
        rows = reports.matrix(metrics)
        assert rows[0]["no defense"] == "100.0 % (10 of 10; 72.2-100.0)"
        assert str(rows[1]["no defense"]).endswith("; 5 of 10 images so far")
        assert rows[1]["Median filter (known)"] == rows[1]["Median filter (known)"] != "–"
        assert reports.recovery(metrics)[0]["breaks"] == "0.0 % (0 of 10; 0.0-27.8)"
        assert "unfinished: 4 of 6 parts are done, numbers over 5 to 10 of 10 images" in reports.heading(metrics)
        assert "5 of 10 images so far" in reports.report(metrics)
        assert known_words(metrics, CellKey(0, 0, NO_DEFENSE, "none")) == (
            "Measured on 5 of 10 images: the run is not finished."
        )
        assert known_words(metrics, CellKey(0, NO_ATTACK, NO_DEFENSE, "none")) == ""
    path.unlink()
    fill(plan(defenses=(MEDIAN,)), path, most=0)
    with RunStore(path) as run:
        metrics = Metrics(run)
        assert {value for row in reports.matrix(metrics) for value in list(row.values())[1:]} == {"–"}
        assert reports.recovery(metrics)[0]["ms per image"] == "–"
        assert "numbers over 0 of 10 images" in reports.heading(metrics)
    path.unlink()
    fill(plan(), path)
    with RunStore(path) as run:
        assert "so far" not in reports.report(Metrics(run)) and "unfinished" not in reports.report(Metrics(run))


def test_a_confusion_table_names_classes_and_gives_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"

    def predict(task: Task, defense: int, labels: Labels) -> npt.NDArray[np.integer]:
        return np.zeros_like(labels)

    fill(plan(attacks=()), path, predict)
    with RunStore(path) as run:
        rows = reports.confusion_table(Metrics(run), CellKey(0, NO_ATTACK, NO_DEFENSE, "none"))
        assert sum(int(str(row["images"])) for row in rows) == 10
        assert {row["prediction"] for row in rows} == {"0"} and {row["prediction (number)"] for row in rows} == {0}
        assert {row["true class (number)"] for row in rows} == set(run.labels.tolist())
        counts = [int(str(row["images"])) for row in rows]
        assert counts == sorted(counts, reverse=True)
