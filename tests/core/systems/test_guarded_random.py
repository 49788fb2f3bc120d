"""Guarded around randomized defenses: draws that belong to the image, averages of gradients, and the memory of their graphs."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from core.attacks import PGD
from core.defenses import (
    Bilateral,
    BitDepth,
    Chain,
    Defense,
    Gaussian,
    RandomResizePad,
)
from core.random_streams import RandomStreams, image_keys
from core.systems.guarded import Guarded
from tests.core.systems.test_guarded import EVERY, random_images, slope, tiny


@pytest.mark.parametrize("defense", EVERY, ids=lambda d: d.describe())
def test_the_average_over_no_randomness_is_the_plain_gradient(defense: Defense) -> None:
    classifier, images = tiny(), random_images()
    logits, gradient = slope(Guarded(classifier, defense, backward="average"), images)
    expected_logits, expected = slope(Guarded(classifier, defense, backward="best"), images)
    assert torch.equal(logits, expected_logits) and torch.equal(gradient, expected)


def test_the_average_is_the_mean_over_draws_of_each_image() -> None:
    """As outside an attack: the draws belong to the image, and the judge's are others."""
    classifier, images, defense = tiny(torch.float64), random_images(torch.float64), RandomResizePad(min_scale=0.5)
    guarded = Guarded(classifier, defense, backward="average", samples=5, seed=7)

    def mean(x: Tensor, who: str) -> Tensor:
        keys = image_keys(images)
        draws = [RandomStreams.keyed(keys, who, 7, number) for number in range(5)]
        return torch.stack([classifier(defense.sample_each(x, streams)) for streams in draws]).mean(0)

    logits, gradient = slope(guarded, images)
    leaf = images.clone().requires_grad_()
    wanted = mean(leaf, "attacker")
    loss = nn.functional.cross_entropy(wanted, torch.tensor([0, 1, 2]), reduction="sum")
    assert torch.allclose(logits, wanted.detach())
    assert torch.allclose(gradient, torch.autograd.grad(loss, leaf)[0])
    with torch.no_grad():
        assert torch.allclose(guarded(images), mean(images, "judge"))
    assert not torch.allclose(logits, mean(images, "judge"))


def test_nothing_is_remembered_from_one_look_to_the_next() -> None:
    """The gradient at a point is the same again; at a point that is hardly another one it is drawn anew."""
    guarded, images = Guarded(tiny(), RandomResizePad(min_scale=0.5), backward="average"), random_images()
    first, again, elsewhere = (slope(guarded, x)[1] for x in (images, images, (images + 0.01).clamp(0, 1)))
    assert torch.equal(first, again)
    assert not torch.allclose(first, elsewhere, rtol=0.1)


def test_behind_a_randomized_defense_an_image_gets_the_same_answer_in_any_batch() -> None:
    guarded = Guarded(
        tiny(torch.float64), Chain(members=(RandomResizePad(min_scale=0.5), BitDepth())), backward="average"
    )
    images = torch.cat([random_images(torch.float64), random_images(torch.float64).flip(3)])
    with torch.no_grad():
        whole = guarded(images)
        assert torch.equal(whole, guarded(images)), "the same again"
        for size in (1, 2, 4):
            assert torch.allclose(torch.cat([guarded(part) for part in images.split(size)]), whole, atol=1e-12)
        order = torch.tensor([4, 2, 5, 0, 3, 1])
        assert torch.allclose(guarded(images[order]), whole[order], atol=1e-12)
        assert not torch.allclose(Guarded(tiny(torch.float64), guarded.defense, seed=1)(images), whole, atol=1e-3)
    _, gradient = slope(guarded, images[:3])
    alone = [slope_of(guarded, images[k : k + 1], k) for k in range(3)]
    assert torch.allclose(torch.cat(alone), gradient, atol=1e-12)


def slope_of(function: nn.Module, image: Tensor, label: int) -> Tensor:
    leaf = image.detach().requires_grad_()
    return torch.autograd.grad(nn.functional.cross_entropy(function(leaf), torch.tensor([label])), leaf)[0]


class Shaken(Defense):
    """Adds noise that it draws as an outsider would, for the whole batch at once; not in the registry."""

    title: ClassVar[str] = "Shaken"

    def apply(self, images: Tensor) -> Tensor:
        return self.sample(images, torch.Generator().manual_seed(0))

    def sample(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        noise = torch.rand(images.shape, generator=generator or torch.Generator().manual_seed(0), dtype=images.dtype)
        return (images + 0.3 * (noise - 0.5)).clamp(0, 1)


@pytest.mark.parametrize("members", [(Shaken(),), (Gaussian(), Shaken(), RandomResizePad(min_scale=0.6))])
def test_a_defense_of_ones_own_needs_no_more_than_a_generator(members: tuple[Defense, ...]) -> None:
    guarded = Guarded(tiny(torch.float64), Chain(members=members), backward="average")
    images = random_images(torch.float64)
    with torch.no_grad():
        whole = guarded(images)
        assert torch.allclose(torch.cat([guarded(image) for image in images.split(1)]), whole, atol=1e-12)
        assert torch.allclose(guarded(images.flip(0)), whole.flip(0), atol=1e-12)
    assert torch.isfinite(slope(guarded, images)[1]).all()


def mixed(seed: int) -> Chain:
    return Chain(members=(RandomResizePad(min_scale=0.5, seed=seed), Gaussian()))


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_graphs_that_are_made_again_give_the_same_gradient(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Guarded(tiny(torch.float64), mixed(1), backward="average", samples=2)
    for guarded in (
        Guarded(inner.classifier, mixed(0), backward="average", samples=samples),
        Guarded(inner, mixed(0), backward="average", samples=samples),
    ):
        images, labels = random_images(torch.float64), torch.tensor([0, 1, 2])
        wanted = slope(guarded, images), PGD(steps=3)(guarded, images, labels).images
        with monkeypatch.context() as patch:
            patch.setattr("core.systems.guarded.GRAPH_BYTES", 0)
            found = slope(guarded, images), PGD(steps=3)(guarded, images, labels).images
        for one, other in zip((*wanted[0], wanted[1]), (*found[0], found[1]), strict=True):
            assert torch.allclose(one, other, atol=1e-12)


def held_by(function: nn.Module, images: Tensor) -> int:
    """Bytes that the graph of one look holds."""
    held: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        held[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        graph = function(images.clone().requires_grad_())
    assert graph.requires_grad
    return sum(held.values())


def test_the_memory_of_an_average_does_not_grow_with_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.systems.guarded.GRAPH_BYTES", 0)
    few, many = (Guarded(tiny(), RandomResizePad(), "average", samples=n) for n in (2, 16))
    assert held_by(many, random_images()) < 1.2 * held_by(few, random_images())
    monkeypatch.setattr("core.systems.guarded.GRAPH_BYTES", 1 << 28)
    assert held_by(many, random_images()) > 4 * held_by(few, random_images()), "small graphs are kept: that is faster"


def test_a_large_window_holds_no_copies_of_the_image() -> None:
    images = random_images()
    guarded = Guarded(tiny(), Bilateral(window=15), "true")
    assert held_by(guarded, images) - held_by(tiny(), images) < 4 * images.numel() * images.element_size()


def test_a_gradient_may_be_asked_twice_of_graphs_that_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepFool and JSMA ask once a class."""
    monkeypatch.setattr("core.systems.guarded.GRAPH_BYTES", 0)
    guarded = Guarded(tiny(), RandomResizePad(), backward="average", samples=3)
    leaf = random_images().requires_grad_()
    logits = guarded(leaf)
    one, two = (torch.autograd.grad(logits[:, 0].sum(), leaf, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(one, two)
