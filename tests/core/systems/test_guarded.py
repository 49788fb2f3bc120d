"""What an attacker sees of a classifier behind a defense, as identities of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from core.attacks import PGD
from core.attacks.base import Attack, Goal, Step
from core.defenses import (
    JPEG,
    LGS,
    REGISTRY,
    Bilateral,
    BitDepth,
    Chain,
    Defense,
    Gaussian,
    Median,
    RandomResizePad,
    TotalVariation,
)
from core.defenses.base import straight_through
from core.detectors import DetectorAwareClassifier, FeatureSqueezing
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.models.query_counter import QueryCounter, QueryCounts
from core.random_streams import RandomStreams, image_keys
from core.systems.guarded import Guarded

CLASSES = ("ant", "bee", "cat", "dog")


def tiny(dtype: torch.dtype = torch.float32) -> Classifier:
    """A small smooth network with random weights: gradients are all that is asked of it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 4)
        )
    classifier = Classifier(
        network,
        name="tiny",
        title="Tiny",
        domain="photos",
        classes=CLASSES,
        size=18,
        channels=3,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        cam_layer="0",
    )
    return classifier.to(dtype)


def random_images(dtype: torch.dtype = torch.float32, size: int = 18) -> Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=dtype)


def slope(function: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a loss on them with respect to the images."""
    images = images.detach().requires_grad_()
    logits = function(images)
    loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2]), reduction="sum")
    return logits.detach(), torch.autograd.grad(loss, images)[0]


class Untouched(Defense):
    """The identity; not in the registry, having no name."""

    title: ClassVar[str] = "Untouched"

    def apply(self, images: Tensor) -> Tensor:
        return images


EVERY = [JPEG(), BitDepth(), Median(), Gaussian(), TotalVariation(), LGS(), Chain(members=(Median(), JPEG(), LGS()))]


@pytest.mark.parametrize("defense", EVERY, ids=lambda d: d.describe())
def test_bpda_is_the_classifiers_gradient_at_the_defended_image(defense: Defense) -> None:
    classifier, images = tiny(), random_images()
    logits, gradient = slope(Guarded(classifier, defense, backward="identity"), images)
    expected_logits, expected = slope(classifier, defense(images))
    assert torch.equal(logits, expected_logits) and torch.equal(gradient, expected)


@pytest.mark.parametrize("backward", ["identity", "true", "best"])
def test_behind_the_identity_every_gradient_is_the_plain_one(backward: str) -> None:
    classifier, images = tiny(), random_images()
    _, gradient = slope(Guarded(classifier, Untouched(), backward=backward), images)  # type: ignore[arg-type]
    assert torch.equal(gradient, slope(classifier, images)[1])


@pytest.mark.parametrize("backward", ["true", "best"])
def test_the_true_gradient_of_a_chain_is_autograds(backward: str) -> None:
    classifier, images = tiny(), random_images()
    first, second = Gaussian(), LGS()
    _, gradient = slope(Guarded(classifier, Chain(members=(first, second)), backward=backward), images)  # type: ignore[arg-type]
    by_hand = nn.Module()
    by_hand.forward = lambda x: classifier(second.apply(first.apply(x)))  # type: ignore[method-assign]
    assert torch.equal(gradient, slope(by_hand, images)[1])


def test_the_true_gradient_of_a_chain_is_that_of_finite_differences() -> None:
    chain = Chain(members=(Median(), Gaussian(), LGS(window=3, overlap=1, threshold=0, strength=0.9)))
    guarded = Guarded(tiny(torch.float64), chain, backward="true")
    images = random_images(torch.float64, size=6)[:1].requires_grad_()
    assert torch.autograd.gradcheck(guarded, (images,), eps=1e-7, atol=1e-5)


def test_a_mixed_chain_takes_the_identity_only_where_it_must() -> None:
    classifier, images = tiny(), random_images()
    blur, jpeg, smooth = Gaussian(), JPEG(quality=30), LGS()
    _, gradient = slope(Guarded(classifier, Chain(members=(blur, jpeg, smooth)), backward="best"), images)

    def composed(x: Tensor) -> Tensor:
        blurred = blur.apply(x)
        return classifier(smooth.apply(straight_through(blurred, jpeg.apply(blurred.detach()))))  # type: ignore[no-any-return]

    by_hand = nn.Module()
    by_hand.forward = composed  # type: ignore[method-assign]
    assert torch.equal(gradient, slope(by_hand, images)[1])
    bpda = slope(Guarded(classifier, Chain(members=(blur, jpeg, smooth))), images)[1]
    assert not torch.equal(gradient, bpda)


def test_the_true_gradient_of_rounding_is_refused_by_name() -> None:
    for defense in (JPEG(), Chain(members=(Gaussian(), JPEG()))):
        with pytest.raises(InvalidInput, match="JPEG has no useful gradient; use backward='identity'"):
            Guarded(tiny(), defense, backward="true")
    with pytest.raises(InvalidInput, match="JPEG and Bit-depth reduction have no useful gradient"):
        Guarded(tiny(), Chain(members=(JPEG(), BitDepth())), backward="true")
    with pytest.raises(InvalidInput, match="backward is 'bpda'"):
        Guarded(tiny(), Gaussian(), backward="bpda")  # type: ignore[arg-type]


@pytest.mark.parametrize("backward", ["none", "identity", "best"])
def test_without_a_gradient_it_is_the_classifier_of_the_defended_images(backward: str) -> None:
    classifier, images = tiny(), random_images()
    guarded = Guarded(classifier, Chain(members=(Median(), JPEG())), backward=backward)  # type: ignore[arg-type]
    logits = guarded(images)
    assert not logits.requires_grad
    assert torch.equal(logits, classifier(JPEG()(Median()(images))))
    assert guarded.classes == CLASSES and guarded.device == classifier.device and guarded.size == 18
    assert guarded.cam_module is classifier.cam_module
    assert not guarded.train().training and not classifier.training


class Whiten(Attack):
    """Says which classifier it was handed; not in the registry, having no name."""

    title: ClassVar[str] = "Whiten"

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        seen.append(classifier)
        logits = classifier(images)
        yield Step(0, 0, images, logits, logits.sum(1), goal.reached(logits, labels))


seen: list[Classifier] = []


def test_a_grey_box_attack_is_crafted_on_the_bare_classifier_and_judged_behind_the_defense() -> None:
    classifier, images, labels = tiny(), random_images(), torch.tensor([0, 1, 2])
    for backward in ("none", "identity"):
        guarded = Guarded(classifier, BitDepth(bits=1), backward=backward)  # type: ignore[arg-type]
        seen.clear()
        result = Whiten()(guarded, images, labels)
        assert seen == [classifier if backward == "none" else guarded]
        rounded = (images * 255).round() / 255
        assert torch.equal(result.logits, classifier(BitDepth(bits=1)(rounded)))
        assert not torch.equal(result.logits, classifier(rounded))


def test_the_stand_ins_stay_out_of_the_registry() -> None:
    assert "Untouched" not in {cls.__name__ for cls in REGISTRY.classes.values()}


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


def test_behind_a_randomised_defense_an_image_gets_the_same_answer_in_any_batch() -> None:
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


WORDS = ("none", "identity", "average")


@pytest.mark.parametrize("outer", WORDS)
@pytest.mark.parametrize("inner", WORDS)
def test_an_attacker_goes_through_none_of_the_defenses_it_does_not_know(outer: str, inner: str) -> None:
    bare, images = tiny(), random_images()
    near, far = BitDepth(bits=2), Gaussian(sigma=2)
    both = Guarded(Guarded(bare, near, backward=inner), far, backward=outer)  # type: ignore[arg-type]
    known = [far] * (outer != "none") + [near] * (inner != "none")  # as the image meets them
    wanted: nn.Module = bare
    if known:
        words = {"identity": "identity", "average": "best"}
        for defense, word in ((near, inner), (far, outer)):
            if word != "none":
                wanted = Guarded(wanted, defense, backward=words[word])  # type: ignore[arg-type]
    for wrapped in (both, QueryCounter(both, QueryCounts())):
        logits, gradient = slope(wrapped.surrogate, images)
        expected_logits, expected = slope(wanted, images)
        assert torch.equal(logits, expected_logits) and torch.equal(gradient, expected)
        result = PGD(steps=2)(wrapped, images, torch.tensor([0, 1, 2]))
        assert torch.equal(result.logits, bare(near(far(result.rounded)))), "it is judged behind both"
    assert both.classifier is not bare and both.backward == outer, "the classifier stays as it was"


def test_a_detectors_attacker_goes_through_no_unknown_defense() -> None:
    bare, images = tiny(), random_images()
    watched = DetectorAwareClassifier(FeatureSqueezing(Guarded(bare, BitDepth(bits=1), backward="none")), 0.5)
    wanted = DetectorAwareClassifier(FeatureSqueezing(bare), 0.5)
    for found, expected in zip(slope(watched.surrogate, images), slope(wanted, images), strict=True):
        assert torch.equal(found, expected)
    assert not torch.equal(watched(images), wanted(images))


def test_samples_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInput, match="samples is 0"):
        Guarded(tiny(), RandomResizePad(), backward="average", samples=0)
