"""A cell's image is the one that opens elsewhere: the link's recipe leads to the same image and to the same answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.sections.evaluation_cell import links
from core import domains, run
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Plan, RunStore
from core.evaluate.running import evaluate
from core.recipe import Method, Outcome, Recipe
from core.recipe.recipe import describe_attack

ATTACKS = (
    Method(name="pgd", params={"eps": "60/255", "steps": 4}),
    Method(name="square", params={"queries": 25, "eps": "60/255"}),
    Method(name="lavan", params={"steps": 6}),
    Method(name="uniform_noise", params={"trials": 2, "eps": "40/255"}),
    Method(name="apgd_t", params={"steps": 5, "classes": 2, "eps": "40/255"}),
)
DEFENSES = (
    (Method(name="median"),),
    (Method(name="random_resize", params={"min_scale": 0.6}), Method(name="bitdepth")),
)

PLACES = ((0, "grey"), (0, "adaptive"), (1, "grey"), (NO_DEFENSE, "none"), (1, "adaptive"))


def opened(plan: Plan, place: CellKey, number: int) -> Outcome:
    word = dict(links(plan, place, number))["Attack"]
    return run(Recipe.from_link(word.partition("recipe=")[2]), device="cpu")


@pytest.mark.parametrize(("backward", "target"), [("average", ""), ("identity", "3")])
def test_the_image_of_every_cell_is_the_one_that_opens(backward: str, target: str, tmp_path: Path) -> None:
    plan = Plan(
        domain="mnist",
        n_images=9,
        batch=4,
        seed=5,
        attacks=ATTACKS,
        defenses=DEFENSES,
        backward=backward,  # type: ignore[arg-type]
        target=target,
    )
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as done:
        assert evaluate(done, device="cpu")
        position = next(n for n in (5, 6, 7) if int(done.labels[n]) != 3)  # in the middle of the second batch
        number = int(done.indices[position])
        for attack in range(len(ATTACKS)):
            for defense, attacker in PLACES if attack == 0 else PLACES[-2:]:
                place = CellKey(0, attack, defense, attacker)  # type: ignore[arg-type]
                outcome = opened(plan, place, number)
                kept = done.image(0, attack, place.known_defense, position)
                made, verdict = outcome.attacked, outcome.attacked.prediction
                if defense != NO_DEFENSE:
                    guard = outcome.columns[0].adaptive if attacker == "adaptive" else outcome.columns[0].grey
                    assert guard is not None
                    made, verdict = guard.attack or outcome.attacked, guard.prediction
                assert kept is not None and made.method == describe_attack(plan.domain, plan.attacks[attack])
                change = np.abs(made.adversarial.astype(int) - kept)
                # A gradient next to zero may have the other sign where the network computes in another batch.
                assert (change > 0).mean() < 0.01, (attack, defense, attacker)
                cell = done.cell(0, attack, place.known_defense, defense)
                assert int(cell.predicted[position]) == verdict.label
                assert float(cell.confidence[position]) == pytest.approx(verdict.confidence, abs=0.05)
                if target:
                    assert made.target == 3


@pytest.mark.parametrize(("attacker", "there"), [("grey", True), ("adaptive", False)])
def test_a_screen_that_shows_another_attacker_is_no_link(attacker: str, there: bool) -> None:
    screens = dict(links(Plan(domain="mnist"), CellKey(0, 0, 0, attacker), 0))  # type: ignore[arg-type]
    assert ("Gradient windows" in screens) == there and {"Attack", "Defend", "Grad-CAM"} <= set(screens)
    assert Recipe.from_link(screens["Grad-CAM"].partition("recipe=")[2]).attacker == attacker


def test_an_image_that_was_left_alone_does_not_open() -> None:
    plan = Plan(domain="mnist", attacks=(Method(name="pgd"), Method(name="universal_patch")), target="3")
    labels = domains.get("mnist").labels("test")
    own, other = (int(np.flatnonzero((labels == 3) == same)[0]) for same in (True, False))
    grey = CellKey(0, 0, 0, "grey")
    assert links(plan, grey, other) and not links(plan, grey, own)
    assert links(plan, CellKey(0, NO_ATTACK, 0, "none"), own)
    assert links(plan, CellKey(0, 1, 0, "grey"), other) and not links(plan, CellKey(0, 1, 0, "grey"), own)


@pytest.mark.parametrize(("defense", "attacker"), [(NO_DEFENSE, "none"), (0, "grey")])
def test_a_cell_of_a_black_box_attack_opens_with_the_classifier_that_it_was_crafted_on(
    defense: int, attacker: str, tmp_path: Path
) -> None:
    plan = Plan(
        domain="mnist",
        classifiers=("a",),
        crafted_on="b",
        n_images=4,
        attacks=(Method(name="fgsm", params={"eps": 0.2}),),
        defenses=((Method(name="median"),),),
        attacker="grey",
    )
    place = CellKey(0, 0, defense, attacker)  # type: ignore[arg-type]
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as done:
        assert evaluate(done, device="cpu")
        outcome = opened(plan, place, int(done.indices[2]))
        cell, stored = done.cell(0, 0, place.known_defense, defense), done.image(0, 0, place.known_defense, 2)
    assert outcome.classifier == "b" and stored is not None
    column = outcome.columns[0]
    assert column.grey is not None
    assert float((outcome.attacked.adversarial != stored).mean()) <= 0.01
    assert int(cell.predicted[2]) == column.grey.prediction.label
    assert float(cell.confidence[2]) == pytest.approx(column.grey.prediction.confidence, abs=0.02)
