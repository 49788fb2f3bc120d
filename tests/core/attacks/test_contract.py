"""What holds for every attack there is, whatever it does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import Guarded, InvalidInput, attacks, defenses
from core.attacks import PGD, Attack, Criterion
from core.images import quantise
from core.models.classifier import Classifier
from core.progress import Progress
from tests.core.attacks.networks import classifier, curved, random_images

SHORT: dict[str, dict[str, Any]] = {
    "apgd_ce": {"iterations": 10},
    "apgd_t": {"iterations": 10},
    "bounded_flow": {"iterations": 5, "restarts": 2, "max_tv": 40},
    "cw": {"iterations": 20, "binary_search_steps": 2},
    "deepfool": {"iterations": 10},
    "gaussian_noise": {"trials": 3},
    "lavan": {"iterations": 5},
    "pgd": {"iterations": 4, "restarts": 2},
    "square": {"queries": 30},
    "stadv": {"iterations": 10, "binary_search_steps": 2},
    "uniform_noise": {"trials": 3},
    "universal_patch": {"iterations": 5, "batch": 4},
    "worst_case": {"iterations": 5, "queries": 20},
}
ATTACKS = [pytest.param(attacks.build(name, SHORT.get(name, {})), id=name) for name in attacks.names()]


def predicted(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(1)  # type: ignore[no-any-return]


def flat(classes: int = 4) -> nn.Module:
    """A network that says class 0 whatever it is shown."""

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sum(1, keepdim=True) * 0 + torch.eye(classes)[0]

    return Flat()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_left_behind(attack: Attack) -> None:
    model, x = curved(), random_images()
    y, before = predicted(model, x), random_images()
    attack(model, x, y)
    assert torch.equal(x, before) and not x.requires_grad
    assert not model.training and not any(module.training for module in model.modules())
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())
    assert all(not module._forward_hooks and not module._backward_hooks for module in model.modules())


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_step_says_what_the_classifier_says_of_its_images(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    numbers = []
    for step in attack.steps(model, x, y):
        with torch.no_grad():
            assert torch.allclose(model(step.images), step.logits, atol=1e-5)
        assert torch.equal(step.fooled, step.logits.argmax(1) != y)
        assert step.number <= step.total
        numbers.append(step.number)
    assert numbers[0] == 0 and numbers == sorted(numbers)
    starts_elsewhere = step.mask is not None or "pgd" in attack.name or attack.name == "worst_case"
    assert starts_elsewhere or torch.equal(next(attack.steps(model, x, y)).images, x)


@pytest.mark.parametrize("attack", ATTACKS)
def test_success_is_what_the_8_bit_file_gives_and_failure_is_explicit(attack: Attack) -> None:
    model, x = curved(), random_images(12)
    y = predicted(model, x)
    result = attack(model, x, y)
    assert result.images.shape == x.shape and result.images.dtype == torch.float32
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1
    assert torch.equal(result.success, predicted(model, quantise(result.images)) != y)
    if attack.minimal_norm:
        assert torch.equal(result.images[~result.success], x[~result.success])


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_classifier_that_nothing_moves_is_survived(attack: Attack) -> None:
    model, x = classifier(flat(), 4), random_images()
    y = torch.zeros(6, dtype=torch.int64)
    result = attack(model, x, y)
    assert not bool(result.success.any())
    assert bool(result.images.isfinite().all())
    if attack.minimal_norm:
        assert torch.equal(result.images, x)


@pytest.mark.parametrize("attack", ATTACKS)
def test_same_seed_same_result(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    one, two = (attack(model, x, y, generator=torch.Generator().manual_seed(5)).images for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("attack", ATTACKS)
def test_targets_are_kept_and_one_equal_to_the_source_is_refused(attack: Attack) -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    aim = next(c for c in range(4) if c not in y.tolist()) if len(set(y.tolist())) < 4 else None
    if aim is None:
        chosen = y != 0
        x, y, aim = x[chosen], y[chosen], 0
    targets = torch.full_like(y, aim)
    result = attack(model, x, y, Criterion(targets))
    assert torch.equal(result.success, predicted(model, result.rounded) == targets)
    with pytest.raises(InvalidInput, match="target equals the true class"):
        attack(model, x, y, Criterion(y))


@pytest.mark.parametrize("backward", ["none", "identity", "true", "best"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_works_against_a_chain_of_defenses(attack: Attack, backward: str) -> None:
    members = [defenses.Gaussian(window=3), defenses.Median(window=3)]
    if backward != "true":
        members.append(defenses.BitDepth(bits=4))
    guarded = Guarded(curved(), defenses.Chain(members=tuple(members)), backward=backward)  # type: ignore[arg-type]
    x = random_images()
    y = predicted(guarded, x)
    result = attack(guarded, x, y)
    assert torch.equal(result.success, predicted(guarded, result.rounded) != y)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_works_against_a_randomized_defense(attack: Attack) -> None:
    defense = defenses.RandomResizePad(min_scale=0.7)
    x = random_images()
    y = predicted(Guarded(curved(), defense), x)
    one, two = (attack(Guarded(curved(), defense, "average", samples=3), x, y) for _ in range(2))
    assert torch.equal(one.images, two.images), "same seed, same result"
    assert torch.equal(one.success, predicted(Guarded(curved(), defense, samples=3), one.rounded) != y)


EACH = [param for param in ATTACKS if not param.values[0].universal]  # type: ignore[attr-defined]


@pytest.mark.parametrize("behind", ["bare", "averaged", "judged"])
@pytest.mark.parametrize("attack", EACH)
def test_what_is_found_for_an_image_does_not_depend_on_its_batch(attack: Attack, behind: str) -> None:
    """Alone, in a part of the batch, in another order: also where the others are finished earlier."""
    model: Classifier = curved().double()
    model.network[-1].weight.data.mul_(4)  # type: ignore[index, union-attr, operator]
    if behind != "bare":
        chain = defenses.Chain(members=(defenses.RandomResizePad(min_scale=0.7), defenses.Gaussian(window=3)))
        model = Guarded(model, chain, "average" if behind == "averaged" else "none", samples=2)
    x = random_images()
    y = predicted(model, x)

    def found(rows: list[int]) -> dict[int, Tensor]:
        result = attack(model, x[rows], y[rows], generator=torch.Generator().manual_seed(3))
        return dict(zip(rows, zip(result.images, result.success, result.steps, strict=True), strict=True))

    whole = found([0, 1, 2, 3, 4, 5])
    for rows in ([2], [4], [5, 0], [3, 1, 2]):
        for row, (images, success, steps) in found(rows).items():
            assert torch.allclose(images.double(), whole[row][0].double(), atol=1e-6)
            assert bool(success) == bool(whole[row][1]) and (not success or int(steps) == int(whole[row][2]))


@pytest.mark.parametrize("attack", ATTACKS)
def test_one_attack_leaves_no_trace_on_the_next(attack: Attack) -> None:
    """Also on one and the same Guarded, and in two threads at once."""
    guarded = Guarded(curved(), defenses.RandomResizePad(min_scale=0.7), "average", samples=2)
    x = random_images()
    y = predicted(guarded, x)

    def found(seed: int) -> Tensor:
        return attack(guarded, x, y, generator=torch.Generator().manual_seed(seed)).images

    first, other, again = found(1), found(2), found(1)
    assert torch.equal(first, again)
    with ThreadPoolExecutor(2) as threads:
        assert all(map(torch.equal, threads.map(found, (1, 2)), (first, other)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_grey_images_are_attacked_too(attack: Attack) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5))
    model, x = classifier(network, 5, channels=1), random_images()[:, :1].contiguous()
    assert attack(model, x, predicted(model, x)).images.shape == x.shape


@pytest.mark.parametrize("attack", ATTACKS)
def test_on_progress_sees_every_step_and_stops_it(attack: Attack) -> None:
    model, x = curved(), random_images()
    seen: list[Progress] = []

    def on_progress(progress: Progress) -> bool:
        seen.append(progress)
        return progress.done >= 1

    result = attack(model, x, predicted(model, x), on_progress=on_progress)
    assert result.iterations <= 1 and (result.stopped or result.iterations == 0)
    for progress in seen:
        assert progress.text == attack.title and progress.step is not None
        assert (progress.done, progress.total) == (progress.step.number, progress.step.total)
        assert 0 <= progress.done <= progress.total


@pytest.mark.parametrize("stop", [None, False, True])
def test_only_true_stops_an_attack(stop: bool | None) -> None:
    model, x = curved(), random_images()
    seen: list[Progress] = []

    def on_progress(progress: Progress) -> bool | None:
        seen.append(progress)
        return stop if progress.done == 3 else None

    attack = PGD(steps=6, early_stop=False, keep="last")
    result = attack(model, x, predicted(model, x), on_progress=on_progress)
    last = 3 if stop else 6
    assert sorted({progress.done for progress in seen}) == list(range(last + 1))
    assert {progress.total for progress in seen} == {6}
    assert (result.iterations, result.stopped) == (last, bool(stop))
    assert seen[-1].step is not None and torch.equal(result.images, seen[-1].step.images)
