"""Compare's headline and tables against the results that they are about."""

from __future__ import annotations

import numpy as np
import pytest

from app.verdicts.compare import compare_verdict, ended_at_success, table_of_attacks, table_of_transfer
from core import attacks
from core.analysis.comparison import Comparison, ComparisonRow, TransferMatrix
from core.recipe import AttackOutcome
from tests.app.verdicts.made import CLASSES, CLEAN, attacked, prediction_of

FAR = np.full((8, 8, 3), 20, np.uint8)
WRONG = "The classifier was wrong before any attack: it took this cat for an astronaut (60 %)."


def entry(name: str, done: AttackOutcome, **params: object) -> ComparisonRow:
    return ComparisonRow(name, attacks.build(name, params), done)


def results(*entries: ComparisonRow, target: int | None = None, missing: tuple[str, ...] = ()) -> Comparison:
    return Comparison(entries, target, missing)


FGSM, PGD = entry("fgsm", attacked(1, moved=FAR)), entry("pgd", attacked(1))
FAILED, CW = entry("bim", attacked(0)), entry("cw", attacked(1))


@pytest.mark.parametrize(
    ("found", "before", "known", "text"),
    [
        (
            results(FGSM, PGD, FAILED),
            0,
            True,
            "2 of 3 attacks fool the classifier (eps 8/255); PGD changes the image least (L2 0.43).",
        ),
        (
            results(FGSM, PGD, CW),
            0,
            True,
            "3 of 3 attacks fool the classifier (eps 8/255 where an attack has one); PGD and C&W L2 "
            "change the image least (L2 0.43).",
        ),
        (results(FGSM, FAILED), 0, True, "1 of 2 attacks fools the classifier (eps 8/255): FGSM."),
        (
            results(FAILED, FAILED),
            0,
            True,
            "None of 2 attacks fools the classifier (eps 8/255): it is still seen as a cat.",
        ),
        (results(PGD), 0, True, "PGD makes the classifier see an astronaut (eps 8/255)."),
        (results(FAILED), 0, True, "BIM does not fool the classifier (eps 8/255): it is still seen as a cat."),
        (
            results(PGD, FAILED, entry("fgsm", attacked(0), eps=2 / 255)),
            0,
            True,
            "1 of 3 attacks fools the classifier (eps 2/255 to 8/255): PGD.",
        ),
        (
            results(entry("pgd", attacked(0, stopped=True, iterations=2)), missing=("fgsm", "cw")),
            0,
            True,
            "Stopped during PGD; 2 attacks did not run. No attack ran to its end.",
        ),
        (
            results(FAILED, FAILED, entry("pgd", attacked(0, stopped=True, iterations=2)), missing=("fgsm",)),
            0,
            True,
            "Stopped during PGD; 1 attack did not run. None of 2 attacks fools the classifier (eps 8/255): "
            "it is still seen as a cat.",
        ),
        (
            results(FAILED, entry("pgd", attacked(1, stopped=True, iterations=5))),
            0,
            True,
            "Stopped during PGD. 1 of 2 attacks fools the classifier (eps 8/255): PGD.",
        ),
        (results(FGSM, PGD), 1, True, f"{WRONG} An untargeted attack has nothing to do."),
        (
            results(entry("pgd", attacked(2)), entry("bim", attacked(1, success=False)), target=2),
            1,
            True,
            f"{WRONG} 1 of 2 attacks reaches the target, a coffee (eps 8/255): PGD.",
        ),
        (
            results(entry("pgd", attacked(1, success=False)), entry("bim", attacked(0)), target=2),
            0,
            True,
            "None of 2 attacks reaches the target, a coffee (eps 8/255).",
        ),
        (
            results(entry("pgd", attacked(1, success=False)), target=2),
            0,
            False,
            "PGD does not reach the target, a coffee (eps 8/255): it is seen as an astronaut.",
        ),
    ],
)
def test_the_headline_counts_what_ran(found: Comparison, before: int, known: bool, text: str) -> None:
    assert compare_verdict(found, CLASSES, prediction_of(before), 0, known) == text


def test_a_stopped_comparison_has_a_row_for_each_attack_and_says_how_far_it_came() -> None:
    found = results(PGD, entry("bim", attacked(0, stopped=True, iterations=1)), missing=("fgsm",))
    rows = table_of_attacks(found, CLASSES, 0)
    assert [row["Attack"] for row in rows] == ["PGD", "BIM", "FGSM"]
    assert [row["State"] for row in rows] == ["finished", "stopped after 1 step", "did not run"]
    assert rows[1]["Steps until fooled"] == "–"
    assert all(value == "–" for head, value in rows[2].items() if head not in ("Attack", "State"))
    assert len({tuple(row) for row in rows}) == 1
    assert "State" not in table_of_attacks(results(PGD), CLASSES, 0)[0]


def test_a_stopped_comparison_warns_of_nothing_that_was_not_finished() -> None:
    one = entry("fgsm", attacked(1))
    many = entry("pgd", attacked(0))
    cut = entry("pgd", attacked(0, stopped=True))
    assert [flag.name for flag in results(one, many).flags()] == ["one-step"] and not results(one, cut).flags()


def test_a_stopped_transfer_has_dashes() -> None:
    found = TransferMatrix(("a", "b"), 0, ((prediction_of(0), prediction_of(1)),))
    assert table_of_transfer(found, {"a": "A", "b": "B"}, CLASSES) == [
        {"Made on": "A", "A": "✓ cat 60 %", "B": "✗ astronaut 60 %"},
        {"Made on": "B", "A": "–", "B": "–"},
    ]


def test_nothing_moved_is_a_change_of_zero() -> None:
    assert table_of_attacks(results(entry("pgd", attacked(0, moved=CLEAN))), CLASSES, None)[0]["SSIM"] == "1.000"


@pytest.mark.parametrize(
    ("name", "params", "iterations", "first", "ended"),
    [
        ("deepfool", {}, 8, 7, True),  # it looks at the point that fooled once more
        ("jsma", {}, 12, 12, True),
        ("pgd", {"steps": 40}, 40, 40, False),  # the last step fooled
        ("pgd", {"steps": 40}, 12, 12, True),
        ("pgd", {"steps": 40}, 40, 3, False),
        ("fgsm", {}, 1, 1, False),
    ],
)
def test_who_ended_at_the_first_success_is_named(
    name: str, params: dict[str, object], iterations: int, first: int, ended: bool
) -> None:
    row = entry(name, attacked(1, iterations=iterations, steps_to_success=first), **params)
    assert ended_at_success(results(row)) == ([row.attack.title] if ended else [])
    failed = attacked(0, iterations=iterations, steps_to_success=first)
    assert ended_at_success(results(entry(name, failed, **params))) == []
