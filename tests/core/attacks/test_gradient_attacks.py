"""FGSM and PGD against naive loops, each other and the invariants of their definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core import Guarded, InvalidInput, defenses
from core.attacks import FGSM, PGD, Attack, Criterion
from core.attacks.losses import cross_entropy, margin
from core.attacks.threat import project, random_start, steepest_direction
from core.images import quantise
from core.random_streams import RandomStreams
from tests.core.attacks.networks import curved, linear, random_images

EPS = 8 / 255


def predicted(classifier: torch.nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return classifier(images).argmax(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("attack", [FGSM(eps=0), PGD(eps=0, steps=3), PGD(eps=0, steps=3, norm="l2", restarts=2)])
def test_eps_zero_is_the_identity(attack: Attack) -> None:
    model, x = curved(), random_images()
    assert torch.equal(attack(model, x, predicted(model, x)).images, x)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_ball_and_the_box_hold(norm: str, keep: str) -> None:
    model, x = curved(), random_images()
    eps = EPS if norm == "linf" else 0.7
    result = PGD(eps=eps, steps=12, norm=norm, keep=keep, early_stop=False, step_size=eps)(
        model, x, predicted(model, x)
    )
    change = (result.images - x).flatten(1)
    reach = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert float(reach.max()) <= eps + 1e-6
    assert float(reach.min()) > eps / 2
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1


def test_fgsm_is_one_step_by_hand() -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    leaf = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(leaf), y, reduction="sum"), leaf)
    wanted = (x + EPS * gradient.sign()).clamp(0, 1)
    assert torch.equal(FGSM(eps=EPS)(model, x, y).images, wanted)
    targets = (y + 1) % 4
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(leaf), targets, reduction="sum"), leaf)
    wanted = (x - EPS * gradient.sign()).clamp(0, 1)
    assert torch.equal(FGSM(eps=EPS)(model, x, y, Criterion(targets)).images, wanted)


def test_fgsm_from_the_predicted_label_needs_no_true_one() -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    wrong = (y + 1) % 4
    blind = FGSM(eps=EPS, away_from="predicted label")
    assert torch.equal(blind(model, x, wrong).images, FGSM(eps=EPS)(model, x, y).images)
    assert not torch.equal(FGSM(eps=EPS)(model, x, wrong).images, FGSM(eps=EPS)(model, x, y).images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_pgd_is_the_naive_loop(norm: str, loss: str) -> None:
    model, x = curved(), random_images()
    y, eps, step = predicted(curved(), random_images()), 0.05, 0.013
    naive = x.clone()
    for _ in range(7):
        rows = []
        for i in range(len(x)):
            one = naive[i : i + 1].clone().requires_grad_(True)
            logits = model(one)[0]
            others = torch.cat([logits[: y[i]], logits[y[i] + 1 :]])
            value = -logits.log_softmax(0)[y[i]] if loss == "cross-entropy" else others.max() - logits[y[i]]
            (gradient,) = torch.autograd.grad(value, one)
            move = gradient.sign() if norm == "linf" else gradient / gradient.norm()
            moved = one.detach() + step * move
            change = moved - x[i : i + 1]
            change = change.clamp(-eps, eps) if norm == "linf" else change * min(1.0, eps / float(change.norm()))
            rows.append((x[i : i + 1] + change).clamp(0, 1))
        naive = torch.cat(rows)
    attack = PGD(
        eps=eps, steps=7, step_size=step, norm=norm, loss=loss, random_start=False, early_stop=False, keep="last"
    )
    assert torch.allclose(attack(model, x, y).images, naive, atol=1e-5)


def test_one_step_of_pgd_is_fgsm() -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    once = PGD(eps=EPS, steps=1, step_size=EPS, random_start=False, early_stop=False, keep="last")
    assert torch.allclose(once(model, x, y).images, FGSM(eps=EPS)(model, x, y).images, atol=1e-7)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_steps_never_lower_the_loss(norm: str) -> None:
    model, x = curved(), random_images(16)
    y = predicted(model, x)
    before = torch.full((16,), -torch.inf)
    for steps in (1, 2, 4, 8, 16):
        attack = PGD(
            eps=0.02 if norm == "linf" else 0.2, steps=steps, step_size=0.02, norm=norm, early_stop=False, loss="margin"
        )
        last = list(attack.steps(model, x, y))[-1]
        assert bool((last.loss >= before - 1e-6).all())
        before = last.loss


def test_images_do_not_influence_each_other() -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    attack = PGD(eps=EPS, steps=5, random_start=False)
    together = attack(model, x, y)
    for i in range(len(x)):
        alone = attack(model, x[i : i + 1], y[i : i + 1])
        assert torch.allclose(alone.images[0], together.images[i], atol=1e-6)
        assert alone.success[0] == together.success[i]


def test_success_is_what_the_8_bit_file_gives() -> None:
    model, x = curved(), random_images(32)
    y = predicted(model, x)
    result = PGD(eps=0.05, steps=20)(model, x, y)
    assert float(result.success.float().mean()) > 0.2
    assert torch.equal(result.success, predicted(model, quantise(result.images)) != y)
    assert torch.equal(result.rounded, quantise(result.images))


def test_stopping_early_spends_less_and_finds_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = curved(), random_images(32)
    y = predicted(model, x)
    seen: list[int] = []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, images: seen.append(len(images)) or forward(self, images))
    everything = PGD(eps=0.1, steps=40, early_stop=False)(model, x, y)
    whole, seen[:] = sum(seen), []
    early = PGD(eps=0.1, steps=40, early_stop=True)(model, x, y)
    assert sum(seen) < whole / 2
    assert torch.equal(early.success, everything.success)
    assert bool((early.steps[early.success] <= 40).all())


def test_restarts_only_help() -> None:
    model, x = curved(), random_images(24)
    y = predicted(model, x)
    once = PGD(eps=0.03, steps=3, early_stop=False)
    often = PGD(eps=0.03, steps=3, early_stop=False, restarts=5)
    first, last = list(once.steps(model, x, y))[-1], list(often.steps(model, x, y))[-1]
    assert int(last.fooled.sum()) >= int(first.fooled.sum())
    same = first.fooled == last.fooled
    assert bool((last.loss[same] >= first.loss[same] - 1e-6).all())


def test_targets_are_reached() -> None:
    model, x = curved(), random_images(8)
    y = predicted(model, x)
    targets = (y + 2) % 4
    result = PGD(eps=0.3, steps=60)(model, x, y, Criterion(targets))
    assert bool(result.success.all())
    assert torch.equal(predicted(model, result.rounded), targets)


def test_same_seed_same_result_and_other_seed_another() -> None:
    model, x = curved(), random_images()
    y = predicted(model, x)
    runs = [PGD(eps=EPS, steps=4)(model, x, y, generator=torch.Generator().manual_seed(s)).images for s in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("x", "y", "goal", "words"),
    [
        (random_images() * 255, None, None, "divide 8-bit values by 255"),
        (random_images() * 2 - 1, None, None, r"must lie in \[0, 1\]"),
        (random_images() / 0 * 0, None, None, "NaN"),
        (random_images()[0], None, None, "N×C×H×W"),
        ((random_images() * 255).to(torch.uint8), None, None, "floats"),
        (random_images()[:, :2], None, None, "1 or 3 channels"),
        (random_images()[:0], torch.zeros(0, dtype=torch.int64), None, "empty"),
        (None, torch.tensor([0, 1, 2, 3, 4, 0]), None, "4 is no class"),
        (None, torch.tensor([0, 1]), None, "6 images and 2 labels"),
        (None, torch.zeros(6), None, "int64"),
        (None, None, "same", "target equals the true class"),
        (None, None, torch.full((6,), 9), "9 is no class"),
    ],
)
def test_bad_input_gets_one_sentence(x: Tensor | None, y: Tensor | None, goal: object, words: str) -> None:
    model = curved()
    x = random_images() if x is None else x
    y = predicted(model, random_images()) if y is None else y
    wanted = None if goal is None else Criterion(y if goal == "same" else goal)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=words) as refusal:
        PGD(steps=1)(model, x, y, wanted)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [({"eps": 2}, "at most 1"), ({"steps": 0}, "at least 1"), ({"norm": "l7"}, "norm"), ({"epsilon": 1}, "epsilon")],
)
def test_parameters_out_of_range_get_one_sentence(params: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        PGD(**params)


def test_margin_has_a_gradient_where_the_softmax_is_saturated() -> None:
    logits = torch.tensor([[200.0, 0.0, 1.0]], requires_grad=True)
    label = torch.tensor([0])
    (flat,) = torch.autograd.grad(cross_entropy(logits, label, Criterion()).sum(), logits)
    (steep,) = torch.autograd.grad(margin(logits, label, Criterion()).sum(), logits)
    assert float(flat.abs().max()) == 0
    assert steep.tolist() == [[-1, 0, 1]]


def test_threat_models_by_their_definitions() -> None:
    x, far = random_images(), random_images(seed=1)
    streams = RandomStreams.of(x, torch.Generator().manual_seed(0))
    assert torch.equal(project(far, x, 0.1, "linf"), torch.minimum(torch.maximum(far, x - 0.1), x + 0.1).clamp(0, 1))
    near = project(far, x, 0.5, "l2")
    assert torch.allclose((near - x).flatten(1).norm(dim=1), torch.full((6,), 0.5), atol=1e-5)
    assert torch.equal(project(near, x, 1.0, "l2"), near)
    assert torch.allclose(steepest_direction(far - x, "l2").flatten(1).norm(dim=1), torch.ones(6))
    assert torch.equal(steepest_direction(torch.zeros_like(x), "l2"), torch.zeros_like(x))
    for norm in ("linf", "l2"):
        start = random_start(x, 0.2, norm, streams)  # type: ignore[arg-type]
        assert torch.equal(project(start, x, 0.2 + 1e-6, norm), start)  # type: ignore[arg-type]
        assert not torch.equal(start, x)


def test_a_linear_classifier_is_solved_in_one_step() -> None:
    model, x = linear(), random_images() * 0.5 + 0.25
    y = predicted(model, x)
    found = list(
        PGD(eps=0.1, steps=5, step_size=0.1, loss="margin", random_start=False, early_stop=False).steps(model, x, y)
    )[-1]
    weights = model.network[1].weight.view(3, 3, 8, 8)
    # The best change of a linear margin against a fixed rival is eps times the sign of the difference of the weights.
    best = torch.full((6,), -torch.inf)
    for i in range(6):
        for rival in {0, 1, 2} - {int(y[i])}:
            slope = weights[rival] - weights[y[i]]
            best[i] = max(float(best[i]), float((slope * x[i]).sum() + 0.1 * slope.abs().sum()))
    assert bool((found.loss <= best + 1e-4).all())
    assert float((best - found.loss).min()) < 1e-4


def test_grey_box_is_crafted_on_the_bare_classifier_and_judged_behind_the_defense() -> None:
    model, x = curved(), random_images(24)
    y = predicted(model, x)
    guarded = Guarded(model, defenses.BitDepth(bits=2), backward="none")
    bare, grey = (PGD(eps=EPS, steps=5)(m, x, y) for m in (model, guarded))
    assert torch.equal(bare.images, grey.images)
    assert torch.equal(grey.success, predicted(model, defenses.BitDepth(bits=2)(grey.rounded)) != y)
