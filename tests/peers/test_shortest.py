"""Attacks that look for the smallest change beside foolbox, cleverhans and ART, at equal settings on classifiers that ship."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.pgd import art_estimator
from core import domains
from core.attacks import CW, JSMA, Attack, Criterion, DeepFool, Step
from core.models.classifier import Classifier
from tests.peers.test_gradient_attacks import WHY

SEARCHES, STEPS, RATE, FIRST = 5, 100, 0.01, 1e-2
# The peers step in tanh space, where their rate moves a value v by 2v(1 - v) of it: a third on average.
EQUAL = {
    "binary_search_steps": SEARCHES,
    "iterations": STEPS,
    "learning_rate": RATE / 3,
    "initial_c": FIRST,
    "rounding": False,
}


@pytest.fixture
def cifar(data: Path) -> tuple[Classifier, Tensor, Tensor]:
    return recognized("cifar10", "resnet", 24)


@pytest.fixture
def digits(data: Path) -> tuple[Classifier, Tensor, Tensor]:
    return recognized("mnist", "a", 16)


def recognized(name: str, classifier: str, count: int) -> tuple[Classifier, Tensor, Tensor]:
    """A classifier and images that it gets right; an attack on the others proves nothing."""
    domain = domains.get(name)
    missing = domain.missing_reason()
    if missing:
        pytest.skip(missing)
    images, labels = domain.sample(count)
    model = domain.classifier(classifier, device="cpu")
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    return model, images[right], labels[right]


def last(attack: Attack, model: Classifier, images: Tensor, labels: Tensor, goal: Criterion | None = None) -> Step:
    """The attack's last word before anything is rounded to 8 bits, which no peer does."""
    *_, step = attack.steps(model, images, labels, *([goal] if goal else []))
    return step


def lengths(images: Tensor, clean: Tensor) -> Tensor:
    return (images - clean).flatten(1).norm(dim=1)


def fooled(model: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(1) != labels


@pytest.mark.data
def test_cw_is_no_longer_than_foolboxs(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    foolbox = pytest.importorskip("foolbox", reason=f"foolbox is {WHY}")
    model, x, y = cifar
    peer = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=SEARCHES, steps=STEPS, stepsize=RATE, initial_const=FIRST
    )
    theirs, _, hit = peer(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    step = last(CW(**EQUAL), model, x, y)
    both = step.fooled & hit
    mine, other = float(lengths(step.images, x)[both].mean()), float(lengths(theirs, x)[both].mean())
    print(
        f"C&W: {int(step.fooled.sum())} and {int(hit.sum())} of {len(x)} fooled, mean L2 {mine:.4f}, foolbox {other:.4f}"
    )
    assert int(step.fooled.sum()) >= int(hit.sum())
    assert mine <= other


@pytest.mark.data
def test_cw_is_no_longer_than_cleverhanss(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    pytest.importorskip("cleverhans", reason=f"cleverhans is {WHY}")
    from cleverhans.torch.attacks.carlini_wagner_l2 import carlini_wagner_l2

    model, x, y = cifar
    x, y = x[:8], y[:8]
    theirs = carlini_wagner_l2(
        model, x, 10, y=y, lr=RATE, binary_search_steps=SEARCHES, max_iterations=STEPS, initial_const=FIRST
    )
    hit = fooled(model, theirs, y)
    step = last(CW(**EQUAL), model, x, y)
    both = step.fooled & hit
    mine, other = float(lengths(step.images, x)[both].mean()), float(lengths(theirs, x)[both].mean())
    print(
        f"C&W: {int(step.fooled.sum())} and {int(hit.sum())} of {len(x)} fooled, mean L2 {mine:.4f}, cleverhans {other:.4f}"
    )
    assert int(step.fooled.sum()) >= int(hit.sum())
    assert mine <= other * 1.001


@pytest.mark.data
@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("attack", [CW(rounding=False), CW(**EQUAL)], ids=["quick", "equal"])
def test_cw_on_mnist_is_no_longer_than_cleverhanss(name: str, attack: CW, data: Path) -> None:
    """Values of exactly 0 and 1, where tanh is flat; the quick preset has a fifth of the peer's iterations."""
    pytest.importorskip("cleverhans", reason=f"cleverhans is {WHY}")
    from cleverhans.torch.attacks.carlini_wagner_l2 import carlini_wagner_l2

    model, x, y = recognized("mnist", name, 40)
    theirs = carlini_wagner_l2(
        model, x, 10, y=y, lr=RATE, binary_search_steps=SEARCHES, max_iterations=STEPS, initial_const=FIRST
    )
    hit = fooled(model, theirs, y)
    step = last(attack, model, x, y)
    both = step.fooled & hit
    mine, other = float(lengths(step.images, x)[both].mean()), float(lengths(theirs, x)[both].mean())
    print(
        f"C&W on MNIST {name}: {int(step.fooled.sum())} and {int(hit.sum())} of {len(x)} fooled, mean L2 {mine:.4f}, cleverhans {other:.4f}"
    )
    assert bool(step.fooled.all())
    assert mine <= 1.02 * other


@pytest.mark.data
def test_deepfool_is_as_long_as_foolboxs(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    foolbox = pytest.importorskip("foolbox", reason=f"foolbox is {WHY}")
    model, x, y = cifar
    peer = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)
    theirs, _, hit = peer(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    step = last(DeepFool(rounding=False), model, x, y)
    assert bool(step.fooled.all()) and bool(hit.all())
    mine, other = float(lengths(step.images, x).mean()), float(lengths(theirs, x).mean())
    print(f"DeepFool: mean L2 {mine:.4f}, foolbox {other:.4f}")
    assert mine == pytest.approx(other, rel=0.05)


@pytest.mark.data
def test_jsma_needs_no_more_pixels_than_arts(digits: tuple[Classifier, Tensor, Tensor]) -> None:
    pytest.importorskip("art", reason=f"adversarial-robustness-toolbox is {WHY}")
    from art.attacks.evasion import SaliencyMapMethod

    model, x, y = digits
    targets = (y + 1 + torch.arange(len(y)) % 9) % 10
    peer = SaliencyMapMethod(art_estimator(model, x), theta=1.0, gamma=0.2, batch_size=len(x), verbose=False)
    theirs = torch.from_numpy(peer.generate(x=x.numpy(), y=torch.eye(10)[targets].numpy()))
    with torch.no_grad():
        hit = model(theirs).argmax(1) == targets
    step = last(JSMA(theta=1.0, gamma=0.2, rounding=False), model, x, y, Criterion(targets))
    both = step.fooled & hit
    mine, other = (float(((z - x).abs() > 1e-6).flatten(1).sum(1)[both].float().mean()) for z in (step.images, theirs))
    print(
        f"JSMA: {int(step.fooled.sum())} and {int(hit.sum())} of {len(x)} reached, mean pixels {mine:.1f}, ART {other:.1f}"
    )
    assert int(step.fooled.sum()) >= int(hit.sum()) and bool(both.any())
    assert mine <= other
