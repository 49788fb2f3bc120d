"""What an attacker sees of a classifier behind a defense, as identities of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from core.attacks import PGD
from core.attacks.base import Attack, Criterion, Step
from core.defenses import (
    JPEG,
    LGS,
    REGISTRY,
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
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        seen.append(classifier)
        logits = classifier(images)
        yield Step(0, 0, images, logits, logits.sum(1), goal.satisfied(logits, labels))


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
