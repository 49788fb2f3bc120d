"""Training plans are data: JSON in and out, and every mistake a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core import InvalidInput
from core.models import artifacts
from core.training import PLANS, TrainingPlan, command, find_plan
from tests.core.training.tiny import values


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_is_one_that_json_can_carry(name: str) -> None:
    plan = find_plan(name)
    assert TrainingPlan.from_json(plan.to_json()) == plan and plan.name == name


SHIPPED = [
    artifact
    for kind in ("classifier", "mask_generator", "denoiser")
    for artifact in artifacts.list_artifacts(kind)
    if artifact.shipped
]


@pytest.mark.parametrize("artifact", SHIPPED, ids=lambda artifact: artifact.name)
def test_what_ships_has_a_plan_and_a_command_that_finds_it(artifact: artifacts.Artifact) -> None:
    card, plan = artifact.card, find_plan(artifact.card.plan)
    assert card.title == plan.title and card.architecture == plan.architecture
    words = card.command.split()
    assert words[:5] == ["python", "-m", "core", "train", plan.name]
    assert words[-1] == str(plan.stages[0].epochs), "the card's own epochs are the plan's"
    assert command(plan) == card.command
    assert (card.mean, card.std, card.cam_layer) == (plan.mean, plan.std, plan.cam_layer)


def test_a_plan_of_ones_own_is_known_by_its_file(tmp_path: Path) -> None:
    changed = json.loads(find_plan("mnist_digits").to_json())
    changed["stages"][0]["max_lr"] = 0.5
    (tmp_path / "mine.json").write_text(json.dumps(changed))
    plan = find_plan(str(tmp_path / "mine.json"))
    assert plan.stages[0].max_lr == 0.5 and command(plan) == "python -m core train mnist_digits/plan.json"
    assert plan.replace(seed=3, epochs=2).seed == 3 and plan.replace(epochs=2).stages[0].epochs == 2


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "objective": ({"objective": {"name": "guess"}}, "no objective called 'guess'; there are adversarial_logit_pairing"),
    "callable": ({"objective": {"name": "cross_entropy", "params": {"f": "lambda x: x"}}}, "has no parameter 'f'"),
    "text": ({"objective": {"name": "cross_entropy", "params": {"label_smoothing": "a"}}}, "takes a number"),
    "augmentation": ({"augment": {"name": "shift"}}, "augmentation 'shift' needs 'by'"),
    "trains": ({"trains": "reader"}, "trains 'reader'; it must be one of classifier"),
    "epochs": ({"epochs": 0}, "epochs is 0; it must be at least 1"),
    "rate": ({"max_lr": float("inf")}, "max_lr"),
    "optimizer": ({"optimizer": "lion"}, "optimizer is 'lion'; it must be"),
    "architecture": ({"architecture": "hal"}, "No classifier has the architecture 'hal'"),
    "data": ({"dataset": "cifar10"}, "MNIST has no training data called 'cifar10'; it has mnist, digits"),
    "domain": ({"domain": "moon"}, "no domain called 'moon'"),
    "name": ({"name": "../mnist_x"}, "name"),
    "foreign name": ({"name": "cifar10_x"}, "is named mnist_NAME"),
    "mean": ({"mean": [0, 0, 0]}, "mean must have one number a channel"),
    "unknown": ({"color": 1}, "has no parameter 'color'"),
    "masks": ({"kind": "mask_generator", "trains": "generator", "trained_against": "a"}, "'fc' or 'conv'"),
    "masks of nobody": (
        {"kind": "mask_generator", "trains": "generator", "architecture": "fc", "trained_against": "hal"},
        "no classifier called 'hal'",
    ),
    "crafted": (
        {"crafted": [{"name": "fgsm", "params": {}}], "augment": {"name": "none"}},
        "Only a denoiser and a mask generator",
    ),
    "masks without a generator": (
        {"kind": "mask_generator", "trains": "reader", "architecture": "fc", "trained_against": "a"},
        "needs a stage that trains the generator",
    ),
    "nameless": ({"name": "masks_"}, "needs a name of its own"),
    "no steps": ({"objective": {"name": "trades", "params": {"eps": 0.1, "steps": 0}}}, "a whole number from 1 to"),
    "half a step": (
        {"objective": {"name": "trades", "params": {"eps": 0.1, "steps": 1.5}}},
        "a whole number from 1 to",
    ),
    "eps of 8": ({"objective": {"name": "trades", "params": {"eps": 8}}}, "a number from 0 to 1 as 'eps', not 8"),
    "eps below 0": ({"objective": {"name": "trades", "params": {"eps": -0.1}}}, "a number from 0 to 1 as 'eps'"),
    "shift": ({"augment": {"name": "shift", "params": {"by": -1}}}, "a whole number from 0 to"),
    "huge rate": ({"max_lr": 1e300}, "max_lr"),
    "no stage": ({"stages": []}, "stages"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_with_a_mistake_gets_one_sentence(case: str) -> None:
    changes, words = CASES[case]
    with pytest.raises(InvalidInput) as told:
        TrainingPlan(**values(**{"architecture": "digit_b", **changes}))
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("[" * 9999, "not JSON"), ("[]", "an object"), ("{}", "missing")]
)
def test_what_is_no_plan_gets_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        find_plan(str(tmp_path / "plan.json"))
    with pytest.raises(
        InvalidInput, match=r"nothing called 'resnet' to train; name a PLAN\.json, or one of photos_photonet"
    ):
        find_plan("resnet")


def test_a_plan_with_a_field_that_is_no_name_gets_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="a field has no proper name"):
        TrainingPlan.from_json('{"name": "x", "self; drop": 1}')
