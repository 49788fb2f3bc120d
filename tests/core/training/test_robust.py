"""Training of robust classifiers: held-out images, the best epoch, averaged weights, where a plan starts from."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import InvalidInput, domains
from core.models import artifacts
from core.training import Trainer, TrainingPlan, find_plan
from core.training import judging as judging_module
from core.training.data import Data
from core.training.judging import Best, overfitting, split_held_out
from core.training.kinds import KINDS
from core.training.runs import curves_in
from core.training.trainer import move_average
from tests.core.training.tiny import images, network, same

CPU = torch.device("cpu")
EPS = 8 / 255


def small(
    objective: str = "adversarial_training", params: dict[str, Any] | None = None, **changes: Any
) -> TrainingPlan:
    """A plan for `images()`, two epochs of six steps."""
    base = find_plan("cifar10_vgg").model_dump()
    stage = {**base["stages"][0], "epochs": 2, "batch": 16, "max_lr": 0.02}
    stage["augment"] = {"name": "shift", "params": {"by": 1, "flip": True}}
    params = {"eps": EPS, "steps": 1} if params is None and objective == "adversarial_training" else params or {}
    stage["objective"] = {"name": objective, "params": params}
    stages = {key: changes.pop(key) for key in list(changes) if key in stage}
    return TrainingPlan(**{**base, **changes, "stages": [{**stage, **stages}]})


def judged(**changes: Any) -> TrainingPlan:
    attack = {"name": "pgd", "params": {"eps": EPS, "iterations": 2}}
    return small(held_out=20, judged_by=attack, **changes)


def test_held_out_images_are_kept_from_training_and_the_same_for_every_seed() -> None:
    (trained, labels), held_out = split_held_out(judged(), images())
    again = split_held_out(judged(seed=5), images())[1]
    assert held_out is not None and again is not None
    assert torch.equal(held_out[0], again[0]) and len(held_out[1]) == 20 and len(labels) == 70
    both = torch.cat([trained, held_out[0]]).flatten(1)
    assert {tuple(row) for row in both.tolist()} == {tuple(row) for row in images()[0].flatten(1).tolist()}
    assert split_held_out(small(), images())[1] is None


def test_the_best_epoch_is_kept_and_a_collapse_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.3, 0.5, 0.2, 0.4])
    seen: list[dict[str, Tensor]] = []

    def scripted(plan: TrainingPlan, net: nn.Module, data: Data, device: torch.device) -> dict[str, float]:
        assert not net.training
        seen.append(copy.deepcopy(net.state_dict()))
        return {"held-out accuracy": 0.9, "held-out accuracy under attack": next(accuracies)}

    monkeypatch.setattr("core.training.trainer.judge", scripted)
    net, data = network(), images()
    trainer = Trainer(judged(epochs=4), {"classifier": net}, data, CPU, folder=tmp_path, held_out=data)
    trainer.fit()
    assert trainer.best.epoch == 2 and trainer.best.accuracy == 0.5
    assert all(torch.equal(value, seen[1][name]) for name, value in net.state_dict().items())
    assert not same_tables(seen[1], seen[3])
    assert "from 50.0 % to 20.0 % in epoch 3; epoch 2 is kept" in trainer.best.warning
    lines = curves_in(tmp_path)
    assert overfitting(lines) == trainer.best.warning and overfitting(lines[:6]) and not overfitting(lines[:5])
    curve = [line["metrics"]["held-out accuracy under attack"] for line in lines if not line["losses"]]
    assert curve == [0.3, 0.5, 0.2, 0.4]


def same_tables(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_epoch_that_is_as_good_as_the_best_replaces_it() -> None:
    best, net = Best(), network()
    best.add(1, 0.0, net)
    best.add(2, 0.0, net)
    assert best.epoch == 2 and not best.warning


def test_judging_counts_clean_and_attacked_images() -> None:
    plan, net = judged(), network().eval()
    plan = plan.model_copy(update={"judged_by": plan.judged_by})
    pixels = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(20, dtype=torch.int64)

    class Brightest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x.mean((2, 3)) * 1000, (0, 7))

    found = judging_module.judge(plan, Brightest(), (pixels, labels), CPU)
    means = pixels.float().mean((2, 3))
    assert found["held-out accuracy"] == float((means.argmax(1) == 0).float().mean())
    others = means[:, 1:].amax(1)
    safe = means[:, 0] - others > 2 * 255 * EPS  # nothing inside the budget changes the class
    assert found["held-out accuracy under attack"] == pytest.approx(float(safe.float().mean()), abs=0.051)
    assert found["held-out accuracy under attack"] <= found["held-out accuracy"]
    del net


@pytest.mark.parametrize("stop", [7, 13, 20])
def test_a_resumed_run_with_averaged_weights_and_a_judge_equals_an_uninterrupted_one(
    tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_norm(plan: TrainingPlan, net: nn.Module, data: Data, device: torch.device) -> dict[str, float]:
        return {"held-out accuracy": 1.0, "held-out accuracy under attack": float(next(net.parameters()).abs().sum())}

    monkeypatch.setattr("core.training.trainer.judge", by_norm)
    plan, data = judged(epochs=4, averaged=0.9), images()
    whole = network()
    Trainer(plan, {"classifier": whole}, data, CPU, folder=tmp_path / "a", held_out=data).fit()
    resumed = network()
    (tmp_path / "b").mkdir()
    first = Trainer(plan, {"classifier": resumed}, data, CPU, folder=tmp_path / "b", held_out=data)
    assert not first.fit(lambda progress: progress.done >= stop)
    again = network(3)
    assert Trainer(plan, {"classifier": again}, data, CPU, folder=tmp_path / "b", held_out=data).fit()
    assert same(whole, again)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()


def test_averaged_weights_are_the_moving_average() -> None:
    average, net = network(0), network(1)
    first = {name: value.clone() for name, value in average.state_dict().items()}
    move_average(average, net, 0.75)
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * net.state_dict()[name])


def test_a_stage_with_averaged_weights_ends_with_them() -> None:
    plain, averaged = network(), network()
    Trainer(small("cross_entropy"), {"classifier": plain}, images(), CPU).fit()
    trainer = Trainer(small("cross_entropy", averaged=0.9), {"classifier": averaged}, images(), CPU)
    trainer.fit()
    assert trainer.average is not None and same(averaged, trainer.average) and not same(plain, averaged)


def test_a_plan_starts_from_the_weights_of_the_classifier_that_it_names() -> None:
    plan = find_plan("mnist_a_robust")
    data = (torch.zeros(10, 1, 28, 28, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64))
    built = KINDS["classifier"].build(plan, data, CPU)["classifier"].eval()
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(built(x), domains.get("mnist").classifier("a", "cpu")(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"starts_from": "vgg"}, "another architecture"),
        ({"starts_from": "nothing"}, "no classifier called"),
        ({"held_out": 100, "judged_by": None}, "belong together"),
        ({"judged_by": {"name": "nothing"}}, "nothing"),
    ],
)
def test_bad_plans_are_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        TrainingPlan(**{**find_plan("mnist_a_robust").model_dump(), **changes})


def test_what_ships_robust_starts_from_what_ships_plain() -> None:
    for name in ("cifar10_resnet_alp", "imagenette_resnet_robust", "mnist_cnn_robust"):
        plan = find_plan(name)
        assert artifacts.find_artifact("classifier", f"{plan.domain}_{plan.starts_from}").shipped
