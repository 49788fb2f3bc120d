"""The training loop: it learns, it repeats, and a run that was stopped ends as one that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import BadInput, domains
from core.domains.mnist import stand_in
from core.models.architectures import WhitenedResNet
from core.models.artifacts import load_classifier, read_artifact
from core.training import NAMES, augment, train
from core.training.loop import fit
from core.training.plans import PLANS, Plan, cached

CPU = torch.device("cpu")


class Stopped(Exception):
    """What a person's Stop raises in the midst of training."""


def plan(optimiser: str = "sgd", epochs: int = 4) -> Plan:
    """Pictures of 8×8 in three classes that a tiny network learns in four epochs."""
    return replace(
        PLANS["cifar10_vgg"],
        view=lambda x, g, done: augment.shifted(x, g, 1),
        epochs=epochs,
        batch=16,
        peak=0.02,
        optimiser=optimiser,
    )


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (90,), generator=generator)
    noise = torch.randint(0, 120, (90, 3, 8, 8), generator=generator)
    noise[torch.arange(90), labels] += 100  # the class is the brightest channel
    return noise.to(torch.uint8), labels


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(288, 3)
    )


def loss(model: nn.Module) -> float:
    x, y = pictures()
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (plan().scale.mean, plan().scale.std))
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()((x.float() / 255 - mean) / std), y))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_training_lowers_the_loss(optimiser: str) -> None:
    model = network()
    before = loss(model)
    fit(model, plan(optimiser), pictures(), CPU)
    assert loss(model) < before / 2
    assert not model.training


def test_the_seed_decides_the_result() -> None:
    first, again, other = network(), network(), network()
    fit(first, plan(), pictures(), CPU, seed=1)
    fit(again, plan(), pictures(), CPU, seed=1)
    fit(other, plan(), pictures(), CPU, seed=2)
    assert same(first, again) and not same(first, other)


def test_a_stopped_run_goes_on_to_the_very_same_weights(tmp_path: Path) -> None:
    whole, stopped, resumed = network(), network(), network(seed=5)
    seen: list[int] = []
    fit(whole, plan(), pictures(), CPU)

    def stop(done: int, total: int, text: str) -> None:
        if done == 15:  # in the third epoch of 6 steps each
            raise Stopped

    with pytest.raises(Stopped):
        fit(stopped, plan(), pictures(), CPU, checkpoint=tmp_path / "c", watch=stop)
    fit(resumed, plan(), pictures(), CPU, checkpoint=tmp_path / "c", watch=lambda done, total, text: seen.append(done))
    assert seen == list(range(13, 25)), "two epochs are kept, two are left"
    assert same(whole, resumed)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epochs": 3}])
def test_the_checkpoint_of_another_run_is_not_continued(tmp_path: Path, other: dict[str, int]) -> None:
    fit(network(), plan(), pictures(), CPU, checkpoint=tmp_path / "c")
    fresh, beside = network(), network()
    fit(fresh, plan(), pictures(), CPU, **other)  # type: ignore[arg-type]
    fit(beside, plan(), pictures(), CPU, checkpoint=tmp_path / "c", **other)  # type: ignore[arg-type]
    assert same(fresh, beside)


def test_a_damaged_checkpoint_gets_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c"
    fit(network(), plan(), pictures(), CPU, checkpoint=path)
    good = path.read_bytes()
    state = torch.load(path, weights_only=True)
    other: dict[str, dict[str, Any]] = {
        "no network": {k: v for k, v in state.items() if k != "network"},
        "another network": {**state, "network": {"weight": torch.zeros(3)}},
        "not finite": {**state, "network": {k: v * float("nan") for k, v in state["network"].items()}},
        "no optimiser": {**state, "optimiser": {}},
        "epoch of text": {**state, "epoch": "last"},
        "epoch beyond": {**state, "epoch": 99},
        "no run": {"epoch": 1, **{k: v for k, v in state.items() if k == "run"}},
    }
    damages = {f"cut at {n}": good[: len(good) * n // 10] for n in range(10)} | {"text": b"no checkpoint"}
    for name in (*damages, *other):
        if name in damages:
            path.write_bytes(damages[name])
        else:
            torch.save(other[name], path)
        fresh = network()
        before = {key: value.clone() for key, value in fresh.state_dict().items()}
        with pytest.raises(BadInput, match="is damaged or of another network; delete it"):
            fit(fresh, plan(), pictures(), CPU, checkpoint=path)
        assert all(torch.equal(value, before[key]) for key, value in fresh.state_dict().items()), name
    path.unlink()
    anew, whole = network(), network()
    fit(anew, plan(), pictures(), CPU, checkpoint=path), fit(whole, plan(), pictures(), CPU)
    assert same(anew, whole)


def test_a_checkpoint_that_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        fit(network(), plan(), pictures(), CPU, checkpoint=tmp_path / "missing" / "c")


def test_a_damaged_cache_of_pictures_is_made_anew(tmp_path: Path) -> None:
    loaded = []

    class Counting:
        domain, size = "imagenette", 4

        def load(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
            loaded.append(train)
            return torch.ones(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)

    for expected in (1, 1):
        assert cached(Counting(), True, tmp_path)[0].shape[0] == 2  # type: ignore[arg-type]
        assert len(loaded) == expected
    (kept,) = tmp_path.iterdir()
    for damage in (kept.read_bytes()[:50], b"", b"text"):
        kept.write_bytes(damage)
        assert len(cached(Counting(), True, tmp_path)[1]) == 2  # type: ignore[arg-type]
    assert len(loaded) == 4 and [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_the_whitening_whitens_and_stays_as_it_is() -> None:
    x, _ = pictures()
    normal = x.float() / 255 - 0.5
    model = WhitenedResNet(3, (8, 8, 8))
    model.set_whitening(normal)
    with torch.no_grad():
        out = F.conv2d(normal, model.whiten.weight[:12]).permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(out @ out.T / out.shape[1], torch.eye(12), atol=0.2, rtol=0)
    assert torch.equal(model.whiten.weight[12:], -model.whiten.weight[:12])
    before = model.whiten.weight.clone()
    large = x.repeat(1, 1, 4, 4), pictures()[1]
    fit(model, replace(plan(epochs=1), architecture="whitened"), large, CPU)
    assert torch.equal(model.whiten.weight, before)
    assert not torch.equal(model.whiten.bias, torch.zeros(24))


def test_a_command_writes_weights_and_a_card_with_what_they_measure(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    card = train("mnist_digits", tmp_path, "cpu", epochs=1, watch=lambda done, total, text: steps.append((done, total)))
    assert steps[-1] == (12, 12)
    artifact = read_artifact(tmp_path, "mnist_digits")
    assert card == artifact.card
    assert card.command == "python -m core train mnist_digits --seed 0 --epochs 1"
    pixels, labels = stand_in(train=False)
    model = load_classifier(artifact, domains.get("mnist").classes)
    with torch.inference_mode():
        right = model(torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255).argmax(1) == torch.tensor(labels)
    (measured,) = card.metrics
    assert (measured.correct, measured.count) == (int(right.sum()), 360)


def test_a_plan_that_is_not_there_or_has_no_data_is_one_sentence(tmp_path: Path) -> None:
    assert len(NAMES) == len(set(NAMES)) == 8 + 12
    with pytest.raises(BadInput, match="nothing called"):
        train("resnet", tmp_path)
    for name in ("cifar10_vgg", "imagenette_resnet"):
        with pytest.raises(BadInput, match="not on this machine"):
            train(name, tmp_path, "cpu")
    with pytest.raises(BadInput, match="stand in"):  # no Model A made of stand-ins that says MNIST on its card
        train("mnist_a", tmp_path, "cpu")
