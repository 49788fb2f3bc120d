"""What attacks return of several points that fool: after the first success, and after rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import domains
from core.attacks import APGDCE, APGDT, BIM, FGSM, MIFGSM, PGD, Attack, Criterion, Square
from core.images import quantise
from tests.core.attacks.networks import classifier, curved, random_images
from tests.core.attacks.test_gradient_attacks import predicted

RUNNING = [
    PGD(eps=0.05, steps=20),
    PGD(eps=0.6, steps=20, norm="l2", restarts=2),
    BIM(eps=0.05, steps=20),
    MIFGSM(eps=0.05, steps=20),
    APGDCE(eps=0.05, steps=20),
    APGDT(eps=0.05, steps=20),
    Square(eps=0.1, queries=200),
]


@pytest.mark.parametrize("attack", RUNNING, ids=lambda a: f"{a.name}-{getattr(a, 'norm', 'linf')}")
def test_an_attack_runs_on_after_its_first_success_and_says_when_that_was(attack: Attack) -> None:
    model, x = curved(), random_images(24)
    y = predicted(model, x)
    steps = list(attack.steps(model, x, y))
    first = torch.full((24,), -1)
    for step in steps:
        first[step.fooled & (first < 0)] = step.number
    on, early = attack(model, x, y), attack.model_copy(update={"early_stop": True})(model, x, y)
    won = on.success & early.success
    assert int(won.sum()) >= 5 and int(on.success.sum()) >= int(early.success.sum())
    assert torch.equal(on.steps[first >= 0], first[first >= 0])
    assert int(on.steps[won].min()) < on.iterations
    surer = [result.logits.log_softmax(1).gather(1, y[:, None])[won].mean() for result in (on, early)]
    assert float(surer[0]) < float(surer[1]), "what runs on leaves less of the true class"


class Grid(nn.Module):
    """Two classes. Class 1 wins above 0.5 between the gray levels, and less so near the level 130/255, which a file can hold."""

    def forward(self, x: Tensor) -> Tensor:
        value = x[:, 0, 0, 0]
        levels = (value * 255 - (value * 255).round()).abs()
        margin = torch.where((value * 255).round() == 130, 0.1 + levels, torch.where(levels > 0.25, value, value - 2))
        return torch.stack([-margin, margin], 1)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(eps=6 / 255, steps=12, step_size=0.6 / 255, random_start=False),
        BIM(eps=6 / 255, steps=12, step_size=0.6 / 255),
        APGDCE(eps=6 / 255, steps=30),
        Square(eps=5.4 / 255, queries=60),
    ],
    ids=lambda a: a.name,
)
def test_a_point_that_fools_only_before_rounding_does_not_displace_one_that_survives_it(attack: Attack) -> None:
    model = classifier(Grid(), 2)
    x = torch.full((1, 3, 8, 8), 128 / 255)
    y = torch.zeros(1, dtype=torch.int64)
    met = [
        step for step in attack.steps(model, x, y) if bool(Criterion().satisfied(model(quantise(step.images)), y).all())
    ]
    result = attack(model, x, y)
    assert bool(result.success[0]) == bool(met)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "eps"),
    [("mnist", 40, 0.1), ("mnist", 40, 0.2), ("cifar10", 16, 2 / 255), ("photos", 4, 1 / 255)],
)
def test_many_steps_are_no_weaker_than_one_of_the_same_budget(name: str, count: int, eps: float, data: Path) -> None:
    """By the share fooled, and by what is left of the true class: PGD used to stop where FGSM went on."""
    domain = domains.get(name)
    images, labels = domain.sample(count)
    model = domain.classifier()
    right = predicted(model, images) == labels
    x, y = images[right], labels[right]
    one = FGSM(eps=eps)(model, x, y)
    for many in (PGD(eps=eps), BIM(eps=eps, step_size=eps / 5), APGDCE(eps=eps, steps=40)):
        result = many(model, x, y)
        loss = [float(F.cross_entropy(found.logits, y)) for found in (one, result)]
        assert loss[1] >= loss[0], many.title
        assert int(result.success.sum()) >= int(one.success.sum()), many.title
