"""Training of attention masks: it learns, it repeats, it goes on where it was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core import domains
from core.explain import masks
from core.models.artifacts import read_artifact
from core.progress import Progress
from core.training import TrainingPlan, TrainingProgress, data, find_plan, train
from core.training.data import load_data

NAME = "mnist_mlp_fc_2"


def plan(epochs: int = 3, reader_epochs: int = 2, seed: int = 0) -> TrainingPlan:
    values = find_plan("masks_mnist_a_fc_1").model_dump()
    for stage, count in zip(values["stages"], (epochs, reader_epochs), strict=True):
        stage.update(epochs=count, batch=32)
    values["stages"][0]["objective"]["params"]["beta"] = 2.0
    return TrainingPlan(
        **{**values, "name": f"masks_{NAME}", "dataset": "digits", "trained_against": "mlp", "seed": seed}
    )


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """scikit-learn's digits, which are always there, and few of them: 96 to train on, or as many as the test says."""
    digits, count = data.DATASETS["digits"], getattr(request, "param", 96)

    def load(train: bool) -> tuple[Tensor, Tensor]:
        images, labels = digits.load(train)
        return (images[:count], labels[:count]) if train else (images[:250], labels[:250])

    monkeypatch.setitem(data.DATASETS, "digits", replace(digits, load=load))


def at(progress: Progress) -> tuple[str, int]:
    """The stage and the epoch of a training; nothing of what comes before and after it."""
    return (progress.stage, progress.epoch) if isinstance(progress, TrainingProgress) else ("", 0)


def weights(folder: Path) -> dict[str, Tensor]:
    return dict(masks.load_attention(read_artifact(folder, NAME)).state_dict())


@pytest.mark.parametrize("cut", [("generator", 3), ("reader", 2)])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path, cut: tuple[str, int]) -> None:
    whole = train(plan(), tmp_path / "whole", "cpu")
    assert train(plan(), tmp_path / "cut", "cpu", lambda p: at(p) == cut) is None
    seen: set[tuple[str, int]] = set()
    resumed = train(plan(), tmp_path / "cut", "cpu", lambda p: seen.add(at(p)) if at(p)[0] else None)
    assert resumed is not None and whole is not None
    assert resumed.model_copy(update={"seconds": 0.0}) == whole.model_copy(update={"seconds": 0.0})
    assert min(seen) == cut, "what was done is not done again"
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("few", [320], indirect=True)
def test_it_learns_and_its_card_says_what_was_measured(tmp_path: Path) -> None:
    losses: list[float] = []
    about = train(
        plan(epochs=12, reader_epochs=40),
        tmp_path,
        "cpu",
        lambda p: losses.extend(p.losses.values()) if at(p)[0] == "generator" else None,
    )
    assert about is not None and losses[-1] < losses[0] - 0.2
    found = masks.load_attention(read_artifact(tmp_path, NAME))
    images, labels = load_data("digits", False, tmp_path)
    images = images.float() / 255
    classifier = domains.get("mnist").classifier("mlp", "cpu")
    with torch.no_grad():
        right = int((found.classify_mask(images).argmax(1) == labels).sum())
        left = found.corrupted(images, torch.Generator().manual_seed(0))
        kept = int((classifier(left).argmax(1) == classifier(images).argmax(1)).sum())
    assert (about.metrics[0].correct, about.metrics[0].count) == (right, len(labels))
    assert about.metrics[1].correct == kept
    assert right > 100, "f2 learnt to read these masks: 25 would be chance"
    assert about.metrics[2].value == pytest.approx(float(found.noise_mask(images).mean()), abs=1e-4)
    assert about.hyperparameters == {"beta": 2.0} and about.trained_against == "mlp"
    assert about.command.endswith(f"train masks_{NAME}/plan.json")
    different = train(plan(seed=1), tmp_path / "other", "cpu")
    assert different is not None and different.metrics[2] != about.metrics[2]
