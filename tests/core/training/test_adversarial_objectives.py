"""Objectives of robust classifiers against loops over images."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.training import Trainer
from core.training.objectives import OBJECTIVES, Batch, Terms
from core.training.objectives.inner import attack_batch
from tests.core.training.test_robust import small
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


def test_adversarial_logit_pairing_takes_no_share_of_clean_images_as_0() -> None:
    net, given = smooth(), batch()
    adversarial = attacked_one_by_one(net, given, 2, 0.02, entropy_of(given))
    terms = OBJECTIVES["adversarial_logit_pairing"](
        {"classifier": net}, given, eps=EPS, steps=2, step_size=0.02, clean=0.0
    )
    assert float(terms.losses["clean"]) == 0 and float(terms.losses["pairs"]) > 0
    wanted = F.cross_entropy(net(adversarial), given.labels)
    assert float(terms.losses["adversarial"]) == pytest.approx(float(wanted), rel=1e-4)


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
        ("trades", {"eps": EPS, "steps": 2, "beta": 0.0}, "cross_entropy", {}),
        ("adversarial_training", {"eps": EPS, "steps": 2, "clean": 1.0}, "cross_entropy", {}),
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
