"""Transfer between classifiers and accuracy by eps, against loops over single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core import domains
from core.attacks import FGSM, PGD, Attack, Criterion, UniversalPatch
from core.evaluate.eps_curves import accuracy_by_eps
from core.evaluate.transfer import TransferAccuracy, transfer_accuracy
from core.images import quantise
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import Progress

DIGITS = domains.get("mnist")
ATTACK = PGD(eps=0.2, steps=3, step_size=0.1)
SEED = 3
N = 12


@pytest.fixture(scope="module")
def classifiers() -> dict[str, Classifier]:
    return {name: DIGITS.classifier(name, "cpu") for name in ("a", "b", "a_robust")}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return DIGITS.sample(N, seed=1)


def naive(attack: Attack, on: Classifier, x: Tensor, y: Tensor, goal: Criterion | None = None) -> Tensor:
    """One image, attacked alone."""
    return attack(on, x, y, goal, torch.Generator().manual_seed(SEED)).rounded


def test_every_cell_is_the_naive_loop(classifiers: dict[str, Classifier], digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    found = transfer_accuracy(ATTACK, classifiers, images, labels, seed=SEED, batch=5)
    assert found is not None and not found.stopped and found.attacked.shape == (3, 3, N)
    for crafted_on, model in classifiers.items():
        adversarial = [naive(ATTACK, model, images[n : n + 1], labels[n : n + 1]) for n in range(N)]
        for judge, other in classifiers.items():
            with torch.no_grad():
                expected = [int(other(image).argmax()) for image in adversarial]
                clean = other(quantise(images)).argmax(1)
            assert found.predicted(judge, crafted_on).tolist() == expected
            assert found.predicted(judge, None).tolist() == clean.tolist()
            right = sum(p == y for p, y in zip(expected, labels.tolist(), strict=True))
            share = found.accuracy(judge, crafted_on)
            assert (share.successes, share.count) == (right, N)
    white_box, black_box = found.accuracy("a", "a"), found.accuracy("b", "a")
    assert white_box.value < black_box.value < found.accuracy("b").value


def test_agreement_counts_equal_predictions_right_or_wrong() -> None:
    labels = np.array([0, 1, 2, 3])
    clean = np.array([[0, 1, 9, 9], [0, 2, 9, 8]])
    attacked = np.array([[[5, 5, 5, 5], [5, 1, 2, 5]], [[0, 1, 2, 3], [7, 7, 7, 7]]])
    found = TransferAccuracy(("p", "q"), labels, clean, attacked, 4)
    assert (found.agreement("p", "q").successes, found.agreement("q", "p", "p").successes) == (2, 2)
    assert found.agreement("p", "q", "q").successes == 0 and found.accuracy("p", "q").successes == 4
    assert found.accuracy("q", "p").successes == 2 and found.accuracy("q").successes == 1


def test_images_of_the_target_are_left_as_they_are(
    classifiers: dict[str, Classifier], digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    own = labels == labels[0]
    found = transfer_accuracy(ATTACK, classifiers, images, labels, target=int(labels[0]), seed=SEED)
    assert found is not None
    for judge in classifiers:
        for crafted_on in classifiers:
            assert (found.predicted(judge, crafted_on) == found.predicted(judge, None))[own.numpy()].all()
    goal = Criterion(torch.full_like(labels[~own], int(labels[0])))
    adversarial = naive(ATTACK, classifiers["a"], images[~own], labels[~own], goal)
    with torch.no_grad():
        expected = classifiers["b"](adversarial).argmax(1)
    assert found.predicted("b", "a")[~own.numpy()].tolist() == expected.tolist()


def test_a_stop_leaves_whole_batches_of_every_cell(
    classifiers: dict[str, Classifier], digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    whole = transfer_accuracy(ATTACK, classifiers, images, labels, seed=SEED, batch=5)
    seen: list[Progress] = []

    def stop_in_the_second_batch(progress: Progress) -> bool:
        seen.append(progress)
        return progress.done >= 20  # of 36: the first batch takes 15

    part = transfer_accuracy(
        ATTACK, classifiers, images, labels, seed=SEED, batch=5, on_progress=stop_in_the_second_batch
    )
    assert whole is not None and part is not None and part.stopped and part.planned == N
    assert np.array_equal(part.attacked, whole.attacked[:, :, :5]) and np.array_equal(part.clean, whole.clean[:, :5])
    assert part.labels.tolist() == labels[:5].tolist()
    assert [p.done for p in seen] == sorted(p.done for p in seen) and {p.total for p in seen} == {3 * N}
    assert transfer_accuracy(ATTACK, classifiers, images, labels, on_progress=lambda _: True) is None


def test_accuracy_by_eps_is_the_naive_loop(classifiers: dict[str, Classifier], digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    ladder = [FGSM(eps=0.3), FGSM(eps=0.05), FGSM(eps=0.15)]
    found = accuracy_by_eps(ladder, classifiers, images, labels, seed=SEED, batch=4)
    assert found is not None and found.eps == (0.0, 0.05, 0.15, 0.3) and not found.stopped
    for name, model in classifiers.items():
        expected = []
        for eps in found.eps:
            right = 0
            for n in range(N):
                x, y = images[n : n + 1], labels[n : n + 1]
                attacked = naive(FGSM(eps=eps), model, x, y) if eps else quantise(x)
                with torch.no_grad():
                    right += int(model(attacked).argmax()) == int(y)
            expected.append(right)
        assert [share.successes for share in found.curve(name)] == expected
        assert {share.count for share in found.curve(name)} == {N}
    assert found.curve("a")[-1].value < found.curve("a_robust")[-1].value

    def stop(progress: Progress) -> bool:
        return progress.done >= 4 * 9

    part = accuracy_by_eps(ladder, classifiers, images, labels, seed=SEED, batch=4, on_progress=stop)
    assert part is not None and part.stopped and np.array_equal(part.predicted, found.predicted[:, :, :4])


def test_what_cannot_be_compared_gets_a_sentence(
    classifiers: dict[str, Classifier], digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    photographs = domains.get("photos").classifier("photonet", "cpu")
    for given, attack, word in (
        ({}, ATTACK, "Choose 1 to 8 classifiers"),
        ({str(n): classifiers["a"] for n in range(9)}, ATTACK, "9 were given"),
        ({"a": classifiers["a"], "photonet": photographs}, ATTACK, "of one form"),
        ({"a": classifiers["a"]}, UniversalPatch(), "one change for all images"),
    ):
        with pytest.raises(InvalidInput, match=word):
            transfer_accuracy(attack, given, images, labels)
    one = {"a": classifiers["a"]}
    with pytest.raises(InvalidInput, match="in one for each image"):
        transfer_accuracy(ATTACK, one, images, labels[:3])
    with pytest.raises(InvalidInput, match="at least one"):
        transfer_accuracy(ATTACK, one, images[:0], labels[:0])
    for ladder in ([], [FGSM(eps=0.1), FGSM(eps=0.1)], [FGSM(eps=0.0)]):
        with pytest.raises(InvalidInput, match="different values of eps above 0"):
            accuracy_by_eps(ladder, one, images, labels)
