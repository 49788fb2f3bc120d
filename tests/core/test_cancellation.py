"""Work that is asked to stop stops within a step, and what it had found stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor

from core.attacks import PGD
from core.attacks.base import Attack, Criterion, Step
from core.cancellation import Cancelled, cancellable, check, uncancellable
from core.defenses import Bilateral, BitDepth, Chain, Defense, Gaussian
from core.models.classifier import Classifier
from core.recipe import Method, Progress, Recipe, craft, evaluate_defenses, load_example
from core.systems.guarded import Guarded
from core.threads import parallel_map
from tests.core.systems.test_guarded import random_images, tiny

LABELS = torch.tensor([0, 1, 2])


def after(calls: int) -> Callable[[], bool]:
    """False so many times, True from then on."""
    left = [calls]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return should_stop


def test_without_a_request_nothing_stops() -> None:
    check()
    with cancellable(lambda: False):
        check()


def test_a_request_stops_the_next_check_and_ends_with_the_block() -> None:
    with pytest.raises(Cancelled), cancellable(lambda: True):
        check()
    check()


def test_of_two_blocks_either_stops_the_work() -> None:
    for outer, inner in ((True, False), (False, True)):
        with cancellable(lambda: outer), pytest.raises(Cancelled), cancellable(lambda: inner):  # noqa: B023
            check()


def test_what_must_not_be_cut_off_is_not() -> None:
    with cancellable(lambda: True):
        with uncancellable():
            check()
        with pytest.raises(Cancelled):
            check()


def test_threads_that_work_for_the_caller_stop_too() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        check()
        done.append(item)

    with pytest.raises(Cancelled), cancellable(after(6)):
        parallel_map(work, range(1000))
    assert len(done) < 1000
    done.clear()
    parallel_map(work, range(10))
    assert sorted(done) == list(range(10)), "the threads do not remember it"


class Twice(Attack):
    """Looks twice in one step; not in the registry, having no name."""

    title: ClassVar[str] = "Twice"

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        for number in range(3):
            classifier(images)
            logits = classifier(images)
            yield Step(number, 2, images, logits, logits.sum(1), goal.satisfied(logits, labels))
            images = (images + 0.125).clamp(0, 1)


def test_an_attack_stops_inside_a_step_with_what_the_step_before_had() -> None:
    classifier, images = tiny(), random_images()
    with cancellable(after(4)):  # two looks and a check after step 0, then the first look of step 1
        result = Twice()(classifier, images, LABELS)
    assert result.stopped and result.iterations == 0
    assert torch.equal(result.images, images)
    rounded = (images * 255).round() / 255
    assert torch.equal(result.logits, classifier(rounded)), "it is judged all the same"


def test_an_attack_that_is_stopped_before_its_first_step_gives_the_clean_images() -> None:
    images = random_images()
    steps: list[Progress] = []
    with cancellable(lambda: True):
        result = PGD(steps=5)(tiny(), images, LABELS, on_progress=steps.append)
    assert result.stopped and result.iterations == 0
    assert [(one.done, one.total, one.step is not None) for one in steps] == [(0, 0, True)]
    assert torch.equal(result.images, images)


def test_a_universal_attack_that_is_stopped_before_its_first_step_shows_the_clean_image() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="universal_patch", params={"iterations": 2}), target="3")
    example = load_example(recipe, device="cpu")
    with cancellable(lambda: True):
        attacked = craft(recipe, example)
    assert attacked.stopped and not attacked.success and (attacked.adversarial == example.clean).all()


def test_an_attack_that_nobody_stops_is_not_stopped() -> None:
    with cancellable(lambda: False):
        assert not PGD(steps=2)(tiny(), random_images(), LABELS).stopped


def test_a_chain_stops_between_its_members() -> None:
    with pytest.raises(Cancelled), cancellable(after(1)):
        Chain(members=(Gaussian(), BitDepth()))(random_images())


class Slow(Defense):
    """Looks often whether it should stop, as a filter with a large window does; not in the registry."""

    title: ClassVar[str] = "Slow"

    def apply(self, images: Tensor) -> Tensor:
        return self.sample(images, None)

    def sample(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        for _ in range(5):
            check()
        return images * 1.0


def test_between_the_draws_of_an_average_it_stops_forward_and_backward() -> None:
    guarded = Guarded(tiny(), Slow(), "average", samples=4)
    with pytest.raises(Cancelled), cancellable(after(8)):  # in the second draw
        guarded(random_images())
    leaf = random_images().requires_grad_()
    with mock.patch("core.systems.guarded.GRAPH_BYTES", 0):
        logits = guarded(leaf)
        with pytest.raises(Cancelled), cancellable(after(8)):
            torch.autograd.grad(logits.sum(), leaf)


@pytest.mark.parametrize("images", [random_images(), random_images().repeat(20, 1, 6, 6)], ids=["small", "spread"])
def test_a_large_window_stops_between_its_offsets(images: Tensor) -> None:
    defense = Bilateral(window=9)
    with pytest.raises(Cancelled), cancellable(after(10)):
        defense(images)
    leaf = images.clone().requires_grad_()
    defended = defense(leaf)
    with pytest.raises(Cancelled), cancellable(after(10)):
        torch.autograd.grad(defended.sum(), leaf)
    assert torch.equal(defense(images), defended), "what comes after is whole"


def test_defenses_that_are_stopped_leave_the_whole_columns() -> None:
    recipe = Recipe(
        domain="mnist",
        attack=Method(name="pgd", params={"steps": 3}),
        attacker="adaptive",
        defenses=((Method(name="bitdepth"),), (Method(name="random_resize"),)),
    )
    example = load_example(recipe, device="cpu")
    attacked = craft(recipe, example)
    asked = {"first": False}

    def on_progress(progress: Progress) -> None:
        asked["first"] |= "Random" in progress.text  # from here on it should stop

    with cancellable(lambda: asked["first"]):
        columns = evaluate_defenses(recipe, example, attacked, on_progress=on_progress)
    assert [column.short_title for column in columns] == ["Bit-depth reduction"]
    with cancellable(lambda: True):
        assert evaluate_defenses(recipe, example, attacked) == ()
