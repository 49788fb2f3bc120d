"""The trainer: it learns, it repeats, and a run that was cut off ends as one that was not, with one process or two."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from core import InvalidInput, domains
from core.domains.mnist import fallback_digits
from core.models.artifacts import load_classifier, read_artifact
from core.models.networks import WhitenedResNet
from core.training import Trainer, TrainingPlan, TrainingProgress, find_plan, train
from core.training import data as datasets
from core.training.data import load_data
from tests.core.training.tiny import images, network, plan, same

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[3]


def small(**changes: Any) -> TrainingPlan:
    """A plan for `images()`, four epochs of six steps."""
    base = find_plan("cifar10_vgg").model_dump()
    stage = {**base["stages"][0], "epochs": 4, "batch": 16, "max_lr": 0.02}
    stage["augment"] = {"name": "shift", "params": {"by": 1, "flip": True}}
    seed = changes.pop("seed", 0)
    return TrainingPlan(**{**base, "seed": seed, "stages": [{**stage, **changes}]})


def fit(model: nn.Module, folder: Path | None = None, on_progress: Any = None, **changes: Any) -> bool:
    return Trainer(small(**changes), {"classifier": model}, images(), CPU, folder=folder).fit(on_progress)


def loss(model: nn.Module) -> float:
    x, y = images()
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(x.float() / 255), y))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_training_lowers_the_loss(optimizer: str) -> None:
    model = network()
    before = loss(model)
    assert fit(model, optimizer=optimizer)
    assert not model.training
    assert loss(model) < before * 0.6


def test_the_same_plan_gives_the_same_weights_and_another_seed_gives_others() -> None:
    first, again, other = network(), network(), network()
    fit(first, seed=1), fit(again, seed=1), fit(other, seed=2)
    assert same(first, again) and not same(first, other)


def test_a_stopped_run_goes_on_to_the_very_same_weights_and_curves(tmp_path: Path) -> None:
    whole, stopped, resumed = network(), network(), network(seed=5)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    assert fit(whole, tmp_path / "whole")
    assert not fit(stopped, tmp_path / "cut", lambda progress: progress.done == 15)  # in the third epoch of 6 steps
    seen: list[int] = []
    assert fit(resumed, tmp_path / "cut", lambda progress: seen.append(progress.done))
    assert seen == list(range(13, 25)), "two epochs are kept, two are left"
    assert same(whole, resumed)
    curves = [(tmp_path / name / "curves.jsonl").read_text() for name in ("whole", "cut")]
    assert curves[0] == curves[1] and len(curves[0].splitlines()) == 4
    line = json.loads(curves[0].splitlines()[-1])
    assert (line["stage"], line["epoch"], line["step"]) == (0, 4, 24)
    assert set(line["losses"]) == {"cross_entropy"} and set(line["metrics"]) == {"accuracy"} and line["lr"] > 0


def test_a_killed_process_resumes_to_the_very_same_weights(tiny: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL behind the first epoch; the run goes on here and ends as one that was never cut off."""
    text = plan().to_json()
    script = (
        "import os, signal, sys; from pathlib import Path; from core.training import TrainingPlan, train\n"
        f"import torch; torch.set_num_threads({torch.get_num_threads()})\n"  # another number adds up in another order
        "kill = lambda p: os.kill(os.getpid(), signal.SIGKILL) if getattr(p, 'epoch', 0) == 2 else None\n"
        "train(TrainingPlan.from_json(sys.argv[1]), Path(sys.argv[2]), 'cpu', kill)"
    )
    done = subprocess.run([sys.executable, "-c", script, text, str(tmp_path / "cut")], env=tiny, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "mnist_tiny.json").exists()
    epochs: list[int] = []
    resumed = train(
        plan(),
        tmp_path / "cut",
        "cpu",
        lambda progress: epochs.append(progress.epoch) if isinstance(progress, TrainingProgress) else None,
    )
    assert set(epochs) == {2, 3}
    torch.manual_seed(99)
    whole = train(plan(), tmp_path / "whole", "cpu")
    assert whole is not None and resumed is not None and whole.seconds > 0 and resumed.seconds > 0
    assert whole.model_copy(update={"seconds": 0.0}) == resumed.model_copy(update={"seconds": 0.0})
    assert whole.device.startswith("CPU")
    one, other = (load_file(tmp_path / name / "mnist_tiny.safetensors") for name in ("cut", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epochs": 3}])
def test_the_checkpoint_of_another_run_is_not_continued(tmp_path: Path, other: dict[str, int]) -> None:
    fit(network(), tmp_path)
    fresh, beside = network(), network()
    fit(fresh, **other)
    fit(beside, tmp_path, **other)
    assert same(fresh, beside)


def test_a_damaged_checkpoint_gets_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    fit(network(), tmp_path)
    good = path.read_bytes()
    state = torch.load(path, weights_only=True)
    weights = state["networks"]["classifier"]
    other: dict[str, dict[str, Any]] = {
        "no network": {k: v for k, v in state.items() if k != "networks"},
        "no such network": {**state, "networks": {}},
        "another network": {**state, "networks": {"classifier": {"weight": torch.zeros(3)}}},
        "not finite": {**state, "networks": {"classifier": {k: v * float("nan") for k, v in weights.items()}}},
        "no optimizer": {**state, "optimizer": {}},
        "epoch of text": {**state, "epoch": "last"},
        "epoch beyond": {**state, "epoch": 99},
        "stage beyond": {**state, "stage": 1},
        "no run": {"epoch": 1},
    }
    damages = {f"cut at {n}": good[: len(good) * n // 10] for n in range(10)} | {"text": b"no checkpoint"}
    for name in (*damages, *other):
        if name in damages:
            path.write_bytes(damages[name])
        else:
            torch.save(other[name], path)
        fresh = network()
        before = {key: value.clone() for key, value in fresh.state_dict().items()}
        with pytest.raises(InvalidInput, match="is damaged or of another network; delete it"):
            fit(fresh, tmp_path)
        if name != "no optimizer":  # the weights are good there
            assert all(torch.equal(value, before[key]) for key, value in fresh.state_dict().items()), name
    path.unlink()
    anew, whole = network(), network()
    fit(anew, tmp_path), fit(whole)
    assert same(anew, whole)


def test_a_checkpoint_that_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.part").mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        fit(network(), tmp_path)


def test_a_damaged_line_of_the_curves_does_no_harm(tmp_path: Path) -> None:
    fit(network(), tmp_path, lambda progress: progress.epoch == 3)
    with (tmp_path / "curves.jsonl").open("a") as file:
        file.write('{"stage": 0, "epo')
    fit(network(), tmp_path)
    assert [json.loads(line)["epoch"] for line in (tmp_path / "curves.jsonl").read_text().splitlines()] == [1, 2, 3, 4]


def test_a_loss_that_is_no_number_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"no number in epoch 1.*lower the plan's max_lr"):
        fit(network(), max_lr=1e30, mixed_precision=False)


def test_progress_is_told_step_by_step() -> None:
    seen: list[TrainingProgress] = []
    fit(network(), on_progress=lambda progress: seen.append(progress))
    assert [progress.done for progress in seen] == list(range(1, 25)) and {p.total for p in seen} == {24}
    assert seen[-1].stage == "classifier" and (seen[-1].epoch, seen[-1].epochs) == (4, 4)
    assert set(seen[-1].losses) == {"cross_entropy"} and "cross_entropy" in seen[-1].text


def test_a_damaged_cache_of_images_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []

    def load(train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        loaded.append(train)
        return torch.ones(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)

    monkeypatch.setitem(datasets.DATASETS, "slow", datasets.Dataset("photos", "", "", load, slow=True))
    for _ in range(2):
        assert load_data("slow", True, tmp_path)[0].shape[0] == 2 and len(loaded) == 1
    (kept,) = tmp_path.iterdir()
    for damage in (kept.read_bytes()[:50], b"", b"text"):
        kept.write_bytes(damage)
        assert len(load_data("slow", True, tmp_path)[1]) == 2
    assert len(loaded) == 4 and [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_the_whitening_whitens_and_stays_as_it_is() -> None:
    x, labels = images()
    normal = x.float() / 255 - 0.5
    model = WhitenedResNet(3, (8, 8, 8))
    model.set_whitening(normal)
    with torch.no_grad():
        out = F.conv2d(normal, model.whiten.weight[:12]).permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(out @ out.T / out.shape[1], torch.eye(12), atol=0.2, rtol=0)
    assert torch.equal(model.whiten.weight[12:], -model.whiten.weight[:12])
    before = model.whiten.weight.clone()
    Trainer(small(epochs=1), {"classifier": model}, (x.repeat(1, 1, 4, 4), labels), CPU).fit()
    assert torch.equal(model.whiten.weight, before)
    assert not torch.equal(model.whiten.bias, torch.zeros(24))


def test_a_run_writes_weights_and_a_card_with_what_they_measure(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    short = find_plan("mnist_digits").replace(epochs=1)
    card = train(short, tmp_path, "cpu", lambda progress: steps.append((progress.done, progress.total)))
    artifact = read_artifact(tmp_path, "mnist_digits")
    assert steps[-1] == (12, 12) and card == artifact.card
    assert card.command == "python -m core train mnist_digits --seed 0 --epochs 1"
    assert "Mirage" in card.licence and card.plan == "mnist_digits"
    pixels, labels = fallback_digits(train=False)
    model = load_classifier(artifact, domains.get("mnist").classes)
    with torch.inference_mode():
        right = model(torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255).argmax(1) == torch.tensor(labels)
    (measured,) = card.metrics
    assert (measured.correct, measured.count) == (int(right.sum()), 360)
    assert TrainingPlan.from_json((tmp_path / "mnist_digits" / "plan.json").read_bytes()) == short


def test_data_that_is_not_here_is_one_sentence(tmp_path: Path) -> None:
    for name in ("cifar10_vgg", "imagenette_resnet"):
        with pytest.raises(InvalidInput, match="not on this machine"):
            train(find_plan(name), tmp_path, "cpu")
    with pytest.raises(InvalidInput, match="stand in"):  # no Model A made of stand-ins that says MNIST on its card
        train(find_plan("mnist_a"), tmp_path, "cpu")


def test_a_rise_of_exactly_one_step_trains() -> None:
    """torch's schedule divides by the length of the rise less one step."""
    assert fit(network(), batch=30, epochs=2, warmup=1 / 6)  # six steps
