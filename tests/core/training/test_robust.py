"""Robust classifiers: each objective against a loop over images, the attack inside, averaged weights, the best epoch, fine-tuning."""

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
from core.training.objectives import OBJECTIVES, Batch, Terms
from core.training.objectives.inner import attack_batch
from core.training.runs import curves_in
from core.training.trainer import move_average
from tests.core.training.tiny import images, network, same

CPU = torch.device("cpu")
EPS = 8 / 255


def smooth(seed: int = 0) -> nn.Sequential:
    """A network without batch norm or dropout: images do not depend on each other."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(6 * 36, 4))


def batch(count: int = 6) -> Batch:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (count,), generator=draw)
    return Batch(torch.rand(count, 3, 8, 8, generator=draw), labels, torch.Generator().manual_seed(1))


def attacked_one_by_one(net: nn.Module, given: Batch, steps: int, size: float, loss: Any) -> Tensor:
    """PGD of each image alone, from the start that the objective draws for the batch."""
    start = EPS * (2 * torch.rand(given.images.shape, generator=torch.Generator().manual_seed(1)) - 1)
    found = []
    for number, image in enumerate(given.images):
        x = (image + start[number]).clamp(0, 1)
        for _ in range(steps):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(loss(net(x[None]), number), x)
            x = torch.minimum(torch.maximum(x + size * slope.sign(), image - EPS), image + EPS).clamp(0, 1)
        found.append(x.detach())
    return torch.stack(found)


def entropy_of(given: Batch) -> Any:
    return lambda logits, number: F.cross_entropy(logits, given.labels[number : number + 1])


@pytest.mark.parametrize(
    ("steps", "step_size", "used"), [(1, 0.0, 1.25 * EPS), (3, 0.0, 2.5 * EPS / 3), (2, 0.01, 0.01)]
)
def test_the_attack_inside_is_pgd_of_each_image_alone(steps: int, step_size: float, used: float) -> None:
    net, given = smooth(), batch()
    wanted = attacked_one_by_one(net, given, steps, used, entropy_of(given))
    found = attack_batch(
        *({"classifier": net}, given, lambda z: F.cross_entropy(z, given.labels, reduction="sum")),
        **{"eps": EPS, "steps": steps, "step_size": step_size},
    )
    torch.testing.assert_close(found, wanted)
    assert float((found - given.images).abs().max()) <= EPS + 1e-6 and not found.requires_grad


def test_the_attack_inside_leaves_no_trace_in_the_network() -> None:
    net = network().train()
    before = copy.deepcopy(net.state_dict())
    given = Batch(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]), torch.Generator().manual_seed(0))
    attack_batch({"classifier": net}, given, lambda z: z.sum(), eps=EPS, steps=2, step_size=0.0)
    assert net.training and all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_adversarial_training_weighs_clean_and_attacked_images() -> None:
    net, given = smooth(), batch()
    adversarial = attacked_one_by_one(net, given, 2, 0.02, entropy_of(given))
    params = {"eps": EPS, "steps": 2, "step_size": 0.02}
    terms = OBJECTIVES["adversarial_training"]({"classifier": net}, batch(), **params, clean=0.25)
    clean = attacked = 0.0
    for image, other, label in zip(given.images, adversarial, given.labels, strict=True):
        clean -= float(net(image[None]).log_softmax(1)[0, label]) / len(given.labels)
        attacked -= float(net(other[None]).log_softmax(1)[0, label]) / len(given.labels)
    assert float(terms.losses["clean"]) == pytest.approx(0.25 * clean, rel=1e-4)
    assert float(terms.losses["adversarial"]) == pytest.approx(0.75 * attacked, rel=1e-4)
    alone = OBJECTIVES["adversarial_training"]({"classifier": net}, batch(), **params)
    assert set(alone.losses) == {"adversarial"}
    assert float(alone.losses["adversarial"]) == pytest.approx(attacked, rel=1e-4)
    assert attacked > clean


def test_adversarial_logit_pairing_adds_the_distance_of_the_twins() -> None:
    net, given = smooth(), batch()
    adversarial = attacked_one_by_one(net, given, 2, 0.02, entropy_of(given))
    terms = OBJECTIVES["adversarial_logit_pairing"](
        {"classifier": net}, given, eps=EPS, steps=2, step_size=0.02, weight=3.0
    )
    distance = 0.0
    for image, other in zip(given.images, adversarial, strict=True):
        distance += float(((net(image[None]) - net(other[None])) ** 2).sum()) / 4
    assert float(terms.losses["pairs"]) == pytest.approx(3 * distance / len(given.images), rel=1e-3)


def test_adversarial_logit_pairing_of_identical_images_is_0() -> None:
    terms = OBJECTIVES["adversarial_logit_pairing"]({"classifier": smooth()}, batch(), eps=0.0, weight=3.0)
    assert float(terms.losses["pairs"].detach()) == 0
    assert float(terms.losses["clean"]) == float(terms.losses["adversarial"])


def test_clean_logit_pairing_pairs_the_halves_of_the_batch() -> None:
    net, given = smooth(), batch(7)
    terms = OBJECTIVES["clean_logit_pairing"]({"classifier": net}, given, weight=2.0)
    distance = sum(
        float(((net(given.images[i][None]) - net(given.images[i + 3][None])) ** 2).sum()) / 4 for i in range(3)
    )
    assert float(terms.losses["pairs"]) == pytest.approx(2 * distance / 3, rel=1e-4)
    alone = OBJECTIVES["clean_logit_pairing"]({"classifier": net}, batch(1), weight=2.0)
    assert float(alone.losses["pairs"]) == 0


def test_logit_squeezing_adds_the_norm_of_the_logits() -> None:
    net, given = smooth(), batch()
    terms = OBJECTIVES["logit_squeezing"]({"classifier": net}, given, weight=2.0)
    norms = sum(float((net(image[None]) ** 2).sum() ** 0.5) for image in given.images)
    assert float(terms.losses["norm"]) == pytest.approx(2 * norms / 6, rel=1e-4)


def test_noise_reaches_the_images_of_pairing_and_squeezing() -> None:
    for name in ("clean_logit_pairing", "logit_squeezing"):
        quiet = OBJECTIVES[name]({"classifier": smooth()}, batch(), weight=1.0)
        noisy = OBJECTIVES[name]({"classifier": smooth()}, batch(), weight=1.0, noise=0.5)
        assert float(quiet.losses["cross_entropy"]) != float(noisy.losses["cross_entropy"])


def test_trades_is_the_cross_entropy_and_torchs_divergence() -> None:
    net, given = smooth(), batch()
    terms = OBJECTIVES["trades"]({"classifier": net}, batch(), eps=EPS, steps=3, step_size=0.01, beta=4.0)
    draw = torch.Generator().manual_seed(1)
    start = (given.images + 0.001 * torch.randn(given.images.shape, generator=draw)).clamp(0, 1)
    divergence = 0.0
    for number, image in enumerate(given.images):
        x, p = start[number], net(image[None]).softmax(1).detach()
        for _ in range(3):
            x = x.detach().requires_grad_()
            distance = torch.distributions.kl_divergence(
                torch.distributions.Categorical(probs=p), torch.distributions.Categorical(logits=net(x[None]))
            )
            (slope,) = torch.autograd.grad(distance.sum(), x)
            x = torch.minimum(torch.maximum(x + 0.01 * slope.sign(), image - EPS), image + EPS).clamp(0, 1)
        divergence += float((p * (p.log() - net(x[None]).log_softmax(1))).sum()) / 6
    assert float(terms.losses["divergence"]) == pytest.approx(4 * divergence, rel=1e-3)
    assert float(terms.losses["cross_entropy"]) == pytest.approx(
        float(F.cross_entropy(net(given.images), given.labels)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "params", "plain", "plain_params"),
    [
        ("clean_logit_pairing", {"weight": 0.0}, "cross_entropy", {}),
        ("logit_squeezing", {"weight": 0.0}, "cross_entropy", {}),
        (
            *("adversarial_logit_pairing", {"weight": 0.0, "eps": EPS, "steps": 2}),
            *("adversarial_training", {"eps": EPS, "steps": 2, "clean": 0.5}),
        ),
    ],
)
def test_without_its_weight_each_is_plain_training_to_the_bit(
    name: str, params: dict[str, float], plain: str, plain_params: dict[str, float]
) -> None:
    found = []
    for objective, values in ((name, params), (plain, plain_params)):
        net = network()
        Trainer(small(objective, values), {"classifier": net}, images(), CPU).fit()
        found.append(net)
    assert same(*found)


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
    assert "from 50.0% to 20.0% in epoch 3; epoch 2 is kept" in trainer.best.warning
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


def test_every_terms_losses_are_finite_with_a_gradient() -> None:
    given: dict[str, dict[str, Any]] = {
        **{"adversarial_training": {"eps": EPS}, "trades": {"eps": EPS}, "adversarial_logit_pairing": {"eps": EPS}},
        **{"clean_logit_pairing": {}, "logit_squeezing": {}},
    }
    for name, params in given.items():
        net = smooth()
        terms: Terms = OBJECTIVES[name]({"classifier": net}, batch(), **params)
        torch.stack([*terms.losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters()), name


def test_what_ships_robust_starts_from_what_ships_plain() -> None:
    for name in ("cifar10_resnet_alp", "imagenette_resnet_robust", "mnist_cnn_robust"):
        plan = find_plan(name)
        assert artifacts.find_artifact("classifier", f"{plan.domain}_{plan.starts_from}").shipped
