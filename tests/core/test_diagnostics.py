"""Each warning is raised by the outcome that it is about, and by nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core import Guarded, InvalidInput, diagnostics
from core.attacks import APGDCE, CW, FGSM, PGD, Attack, GaussianNoise, Square
from core.defenses import BitDepth, Median, RandomResizePad
from core.diagnostics import AttackSummary, GradientStats, run_diagnostics
from tests.core.attacks.networks import classifier, curved, linear, random_images

EPS = 8 / 255


def names(*summaries: AttackSummary) -> list[str]:
    return [flag.name for flag in run_diagnostics(summaries)]


def summary(attack: Attack, fooled: int, count: int = 10, flipped: int = 0) -> AttackSummary:
    return AttackSummary(attack, fooled, count, flipped)


def test_what_behaves_raises_nothing() -> None:
    honest = (
        summary(FGSM(eps=EPS), 3),
        summary(PGD(eps=EPS), 8),
        summary(PGD(eps=EPS / 2), 6),
        summary(Square(eps=EPS), 5),
        summary(GaussianNoise(), 9),
        summary(CW(), 10),
    )
    assert names(*honest) == []


def test_one_step_better_than_many() -> None:
    assert names(summary(FGSM(eps=EPS), 5), summary(PGD(eps=EPS), 4)) == ["one-step"]
    assert names(summary(FGSM(eps=EPS), 5), summary(PGD(eps=EPS), 5)) == []
    assert names(summary(FGSM(eps=2 * EPS), 5), summary(PGD(eps=EPS), 4)) == [], "another budget proves nothing"
    assert names(summary(FGSM(eps=EPS), 5), summary(PGD(eps=EPS, norm="l2"), 4)) == []
    assert names(summary(FGSM(eps=EPS), 5), summary(PGD(eps=EPS), 4, count=8)) == []


def test_black_box_better_than_white_box() -> None:
    assert names(summary(Square(eps=EPS), 5), summary(APGDCE(eps=EPS), 4)) == ["black-box"]
    assert names(summary(Square(eps=EPS), 5), summary(FGSM(eps=EPS), 4)) == [], "one step may lose to many queries"
    assert names(summary(GaussianNoise(), 5), summary(APGDCE(eps=EPS), 4)) == []


def test_a_larger_eps_weaker_than_a_smaller_one() -> None:
    assert names(summary(PGD(eps=EPS), 5), summary(PGD(eps=2 * EPS), 4)) == ["larger-eps"]
    assert names(summary(PGD(eps=EPS), 4), summary(PGD(eps=2 * EPS), 5)) == []
    assert names(summary(PGD(eps=EPS), 5), summary(FGSM(eps=2 * EPS), 4)) == []
    flag = run_diagnostics([summary(PGD(eps=0.5, norm="l2"), 5), summary(PGD(eps=0.75, norm="l2"), 4)])[0]
    assert flag.name == "larger-eps" and "at eps 0.5, 4 at 0.75." in flag.condition
    flag = run_diagnostics([summary(PGD(eps=EPS), 5), summary(PGD(eps=2 * EPS), 4)])[0]
    assert "/255, 4 at " in flag.condition


def test_an_unbounded_attack_that_falls_short() -> None:
    assert names(summary(CW(), 9)) == names(summary(PGD(eps=1.0), 9)) == ["unbounded"]
    assert names(summary(CW(), 10)) == names(summary(PGD(eps=EPS), 9)) == names(summary(CW(), 0, count=0)) == []


def test_a_random_defense_on_a_single_draw() -> None:
    for backward, wanted in (("best", 1), ("identity", 1), ("true", 1), ("average", 0), ("none", 0)):
        assert len(run_diagnostics((), defense=RandomResizePad(), backward=backward)) == wanted
    assert run_diagnostics((), defense=Median(), backward="best") == ()


def test_predictions_that_flip_back() -> None:
    assert names(summary(PGD(eps=EPS), 4, flipped=1)) == ["flips-back"]


def test_zero_and_vanishing_gradients() -> None:
    assert [f.name for f in run_diagnostics((), GradientStats(zero=0.9, smallest=1e-3))] == ["no-gradient"]
    assert [f.name for f in run_diagnostics((), GradientStats(zero=0.0, smallest=1e-12))] == ["no-gradient"]
    assert run_diagnostics((), GradientStats(zero=0.1, smallest=1e-3)) == ()


class Steps(nn.Module):
    """Rounds what it is given, as a defense hidden in a network does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network((x * 8).round() / 8)  # type: ignore[no-any-return]


def test_slope_sees_what_a_gradient_attacker_sees() -> None:
    x = random_images()
    with torch.no_grad():
        y = curved()(x).argmax(1)
    found = diagnostics.gradient_stats(curved(), x, y)
    assert found.zero < 0.01 and found.smallest > diagnostics.VANISHING
    rounding = diagnostics.gradient_stats(classifier(Steps(curved().network), 4), x, y)
    assert rounding == GradientStats(1.0, 0.0)
    guarded = Guarded(curved(), BitDepth(bits=3), backward="identity")
    assert diagnostics.gradient_stats(guarded, x, y).zero < 0.01, "BPDA gives the gradient back"
    sure = linear(classes=4)
    sure.network[1].weight.data.mul_(1e6)  # type: ignore[index, union-attr, operator]
    with torch.no_grad():
        y = sure(x).argmax(1)
    assert diagnostics.no_gradient(diagnostics.gradient_stats(sure, x, y)) is not None, "a saturated softmax"


def test_every_flag_tells_when_what_and_what_to_do() -> None:
    every = [
        *run_diagnostics(
            [
                summary(FGSM(eps=EPS), 6),
                summary(PGD(eps=EPS), 4, flipped=1),
                summary(Square(eps=EPS), 5),
                summary(CW(), 2),
            ]
        ),
        *run_diagnostics(
            [summary(PGD(eps=EPS), 5), summary(PGD(eps=2 * EPS), 4)], GradientStats(1, 0), RandomResizePad(), "best"
        ),
    ]
    assert len({flag.name for flag in every}) == 7
    for flag in every:
        assert flag.title and all(text.endswith(".") for text in (flag.condition, flag.means, flag.do))


def test_more_fooled_than_there_were_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more images than it had"):
        run_diagnostics([summary(PGD(), 11)])
