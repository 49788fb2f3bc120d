"""A recipe is an evaluation's batch of one: the same images and the same answers come out of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core import InvalidInput, domains
from core.evaluate import NO_ATTACK, NO_DEFENSE, Plan, RunStore, evaluate
from core.evaluate.compute import sample_indices
from core.images import quantise, to_tensor
from core.recipe import ImageRef, Method, Recipe, craft, evaluate_defenses, load_example, make_outcome, run
from core.recipe.columns import ColumnSpec, MemberSpec, SystemSpec

VOTE = SystemSpec(members=(MemberSpec(), MemberSpec(classifier="b", defenses=(Method(name="median"),))))
OTHER = SystemSpec(members=(MemberSpec(classifier="b"),))
COUNT = 4

# Ten recipes: name, attack, target, column, backward
TEN: dict[str, tuple[Method, str, ColumnSpec, str]] = {
    "one step": (Method(name="fgsm"), "", (Method(name="jpeg"),), "average"),
    "many steps through a chain": (
        Method(name="pgd", params={"steps": 5}),
        "",
        (Method(name="bitdepth"), Method(name="median")),
        "identity",
    ),
    "toward a class": (Method(name="pgd", params={"steps": 5}), "3", (Method(name="gaussian"),), "true"),
    "a random defense": (Method(name="pgd", params={"steps": 3}), "", (Method(name="random_resize"),), "average"),
    "queries": (Method(name="square", params={"queries": 40}), "", (Method(name="median"),), "average"),
    "the shortest change": (
        Method(name="cw", params={"binary_search_steps": 2, "steps": 10}),
        "",
        (Method(name="bitdepth"),),
        "best",
    ),
    "a local patch": (Method(name="lavan", params={"steps": 10}), "", (Method(name="lgs"),), "average"),
    "a universal patch": (
        Method(name="universal_patch", params={"steps": 20, "area": 0.2}),
        "5",
        (Method(name="jpeg"),),
        "average",
    ),
    "another classifier": (Method(name="pgd", params={"steps": 5}), "", OTHER, "average"),
    "a vote": (Method(name="pgd", params={"steps": 5}), "", VOTE, "average"),
}


@pytest.mark.parametrize("name", TEN)
def test_a_recipe_and_an_evaluation_give_the_same(name: str, tmp_path: Path) -> None:
    attack, target, column, backward = TEN[name]
    plan = Plan(
        domain="mnist",
        classifiers=("cnn",),
        n_images=COUNT,
        batch=3,
        seed=4,
        attacks=(attack,),
        target=target,
        defenses=(column,),
        backward=backward,
        save_images=COUNT,
    )
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as kept:
        assert evaluate(kept, device="cpu")
        labels, compared = kept.labels, 0
        for position, number in enumerate(sample_indices(plan).tolist()):
            if target and labels[position] == int(target):
                continue  # the recipe refuses the image's own class; the evaluation leaves the image alone
            recipe = Recipe(
                domain="mnist",
                classifier="cnn",
                image=ImageRef(kind="dataset", split="test", index=number),
                attack=attack,
                target=target,
                defenses=(column,),
                attacker="both",
                backward=backward,
                seed=4,
            )
            outcome = run(recipe, device="cpu")
            (done,) = outcome.columns
            assert done.grey is not None and done.adaptive is not None and done.adaptive.attack is not None
            cells = {
                (NO_ATTACK, NO_DEFENSE, NO_DEFENSE): (outcome.clean_prediction, outcome.clean),
                (NO_ATTACK, NO_DEFENSE, 0): (done.clean.prediction, outcome.clean),
                (0, NO_DEFENSE, NO_DEFENSE): (outcome.attacked.prediction, outcome.attacked.adversarial),
                (0, NO_DEFENSE, 0): (done.grey.prediction, outcome.attacked.adversarial),
                (0, 0, 0): (done.adaptive.prediction, done.adaptive.attack.adversarial),
            }
            for (made, known, judge), (verdict, pixels) in cells.items():
                cell = kept.cell(0, made, known, judge)
                where = f"{name}, image {number}, attack {made}, known {known}, judged by {judge}"
                assert cell.predicted[position] == verdict.label, where
                assert cell.confidence[position] == pytest.approx(verdict.confidence, abs=2e-3), where
                assert cell.true_confidence[position] == pytest.approx(verdict.true_confidence, abs=2e-3), where
                if made != NO_ATTACK:
                    stored = kept.image(0, made, known, position)
                    assert stored is not None
                    # In a batch the last bits of a float differ, and a sign may turn where a gradient is nearly zero.
                    assert float((stored != pixels).mean()) <= 0.01, where
            compared += 1
        assert compared >= 3


def test_black_box_attacks_are_crafted_on_another_classifier(tmp_path: Path) -> None:
    plan = Plan(
        domain="mnist",
        classifiers=("cnn",),
        crafted_on="b",
        n_images=6,
        attacks=(Method(name="fgsm", params={"eps": 0.3}),),
        defenses=((Method(name="median"),),),
        attacker="grey",
        save_images=6,
    )
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(InvalidInput, match="black box"):
        Plan(domain="mnist", crafted_on="b")
    with pytest.raises(InvalidInput, match="no classifier called 'c'"):
        Plan(domain="mnist", crafted_on="c", attacker="grey")
    with RunStore.create(plan, "cpu", tmp_path / "run.sqlite") as kept:
        assert evaluate(kept, device="cpu")
        for position, number in enumerate(sample_indices(plan).tolist()):
            recipe = Recipe(
                domain="mnist",
                classifier="b",
                image=ImageRef(kind="dataset", split="test", index=number),
                attack=plan.attacks[0],
                defenses=(),
            )
            example = load_example(recipe, device="cpu")
            crafted = craft(recipe, example).adversarial
            stored = kept.image(0, 0, NO_DEFENSE, position)
            assert stored is not None and float((stored != crafted).mean()) <= 0.01
            with torch.no_grad():
                judged = domains.get("mnist").classifier("cnn", device="cpu")(quantise(to_tensor(crafted)))
            assert kept.cell(0, 0, NO_DEFENSE, NO_DEFENSE).predicted[position] == int(judged.argmax())


def test_the_grey_box_is_crafted_on_the_recipes_classifier_and_the_adaptive_one_on_the_system() -> None:
    recipe = Recipe(
        domain="mnist",
        classifier="a",
        attack=Method(name="pgd", params={"eps": 0.3, "steps": 10}),
        defenses=(OTHER, VOTE),
        attacker="both",
    )
    example = load_example(recipe, device="cpu")
    outcome = make_outcome(recipe, example, craft(recipe, example), ())
    columns = evaluate_defenses(recipe, example, outcome.attacked)
    other = domains.get("mnist").classifier("b", device="cpu")
    on_other = craft(recipe.replace(classifier="b"), load_example(recipe.replace(classifier="b"), device="cpu"))
    with torch.no_grad():
        grey = other(to_tensor(outcome.attacked.adversarial)).softmax(1)
    assert columns[0].grey is not None and columns[0].adaptive is not None and columns[0].adaptive.attack is not None
    assert columns[0].grey.prediction.confidence == pytest.approx(float(grey.max()), abs=1e-4)
    assert np.array_equal(columns[0].adaptive.attack.adversarial, on_other.adversarial)
    assert not np.array_equal(outcome.attacked.adversarial, on_other.adversarial)
    assert columns[0].defense == domains.get("mnist").classifier_title("b")
    assert "vote of the bare classifier" in columns[1].defense
    assert columns[1].adaptive is not None and columns[1].adaptive.prediction.label != outcome.label
