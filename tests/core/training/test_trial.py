"""What is refused before the first step of a training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from core import InvalidInput
from core.training import TrainingPlan, find_plan, train
from core.training.trial import try_stages
from tests.core.training.test_trainer import CPU, small
from tests.core.training.tiny import images, network, plan, same


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": {"name": "guided_denoiser"}}, "do not fit together: there is no network called 'denoiser'"),
        ({"augment": {"name": "shift", "params": {"by": 28}}}, "do not fit together"),
        ({"architecture": "whitened"}, "do not fit together"),
        (
            {"held_out": 5000, "judged_by": {"name": "fgsm", "params": {}}},
            "holds out 5,000 images, and there are 1,437",
        ),
    ],
)
def test_a_plan_whose_parts_do_not_fit_is_refused_before_the_first_step(
    changes: dict[str, Any], words: str, tiny: dict[str, str], tmp_path: Path
) -> None:
    steps: list[Any] = []
    with pytest.raises(InvalidInput, match=words):
        train(plan(**changes), tmp_path, "cpu", steps.append)
    assert not steps


def test_the_trial_of_a_plan_changes_nothing(tiny: dict[str, str]) -> None:
    model = network()
    before = copy.deepcopy(model)
    state = torch.get_rng_state()
    try_stages(small(), {"classifier": model}, images(), CPU)
    assert same(model, before) and torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_folder_with_the_checkpoint_of_another_plan_is_refused(tiny: dict[str, str], tmp_path: Path) -> None:
    train(plan(epochs=1), tmp_path, "cpu")
    before = (tmp_path / "mnist_tiny" / "checkpoint.pt").read_bytes()
    with pytest.raises(InvalidInput, match="holds a training called 'mnist_tiny' with other parameters"):
        train(plan(epochs=2), tmp_path, "cpu")
    assert (tmp_path / "mnist_tiny" / "checkpoint.pt").read_bytes() == before
    assert train(plan(epochs=1), tmp_path, "cpu") is not None


def test_a_plan_does_not_replace_an_artifact_of_another_kind(tiny: dict[str, str], tmp_path: Path) -> None:
    train(plan(epochs=1), tmp_path, "cpu")
    card = tmp_path / "mnist_tiny.json"
    before = (tmp_path / "mnist_tiny.safetensors").read_bytes()
    masks = find_plan("masks_mnist_a_fc_3").model_dump()
    with pytest.raises(InvalidInput, match="describes a classifier, which a mask generator of that name would replace"):
        train(TrainingPlan(**{**masks, "name": "masks_mnist_tiny"}), tmp_path, "cpu")
    assert (tmp_path / "mnist_tiny.safetensors").read_bytes() == before and card.exists()
