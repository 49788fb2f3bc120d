"""FGSM and PGD beside foolbox, torchattacks and ART on classifiers that ship, at equal settings.

Images are compared by the share of equal values and by the mean loss: where a gradient is zero or nearly so, the order of
an addition decides its sign, and one value then moves by a whole step.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.pgd import art_estimator
from core import domains
from core.attacks import FGSM, PGD
from core.models.classifier import Classifier

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10
SAME = 1e-5  # round-off; a step is 800 times that
WHY = "not installed: `make peers` runs these tests in an environment that has it"

AttackOutcome = Callable[[str, Classifier, Tensor, Tensor], Tensor]


def ours(attack: str, classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    if attack == "fgsm":
        return FGSM(eps=EPS)(classifier, images, labels).images
    pgd = PGD(eps=EPS, step_size=STEP, iterations=STEPS, random_start=False, early_stop=False, keep="last")
    return pgd(classifier, images, labels).images


def by_foolbox(attack: str, classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    foolbox = pytest.importorskip("foolbox", reason=f"foolbox is {WHY}")
    model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
    if attack == "fgsm":
        found = foolbox.attacks.FGSM(random_start=False)
    else:
        found = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
    _, clipped, _ = found(model, images, labels, epsilons=EPS)
    return clipped


def by_torchattacks(attack: str, classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    torchattacks = pytest.importorskip("torchattacks", reason=f"torchattacks is {WHY}")
    if attack == "fgsm":
        return torchattacks.FGSM(classifier, eps=EPS)(images, labels)
    return torchattacks.PGD(classifier, eps=EPS, alpha=STEP, steps=STEPS, random_start=False)(images, labels)


def by_art(attack: str, classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    pytest.importorskip("art", reason=f"adversarial-robustness-toolbox is {WHY}")
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent

    estimator = art_estimator(classifier, images)
    same = {"norm": np.inf, "eps": EPS, "num_random_init": 0, "batch_size": len(images)}
    if attack == "fgsm":
        found = FastGradientMethod(estimator, **same)
    else:
        found = ProjectedGradientDescent(estimator, eps_step=STEP, max_iter=STEPS, verbose=False, **same)
    return torch.from_numpy(found.generate(x=images.numpy(), y=labels.numpy()))


PEERS = [
    pytest.param(by_foolbox, id="foolbox"),
    pytest.param(by_torchattacks, id="torchattacks"),
    pytest.param(by_art, id="ART"),
]


def agree(
    attack: str, peer: AttackOutcome, classifier: Classifier, images: Tensor, labels: Tensor, share: float
) -> None:
    theirs = peer(attack, classifier, images, labels).detach()  # first: it skips where the peer is missing
    found = ours(attack, classifier, images, labels)
    assert (found - images).abs().max() > 0.9 * EPS, "the attack did nothing"
    equal = float(((found - theirs).abs() < SAME).float().mean())
    with torch.no_grad():
        loss, other, before = (float(F.cross_entropy(classifier(x), labels)) for x in (found, theirs, images))
    print(f"{attack}: {equal:.4%} of the values equal; loss {before:.5f} before, ours {loss:.5f}, theirs {other:.5f}")
    assert equal >= share
    assert loss == pytest.approx(other, rel=1e-3)
    assert loss > before


@pytest.mark.data
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("peer", PEERS)
def test_agrees_on_cifar10(attack: str, peer: AttackOutcome, data: Path) -> None:
    domain = domains.get("cifar10")
    missing = domain.missing_reason()
    if missing:
        pytest.skip(missing)
    images, labels = domain.sample(64)
    agree(attack, peer, domain.classifier("resnet", device="cpu"), images, labels, share=0.999)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("peer", PEERS)
def test_agrees_on_the_photographs_that_ship(attack: str, peer: AttackOutcome) -> None:
    domain = domains.get("photos")
    images, labels = domain.sample(8)
    agree(attack, peer, domain.classifier(device="cpu"), images, labels, share=0.999)
