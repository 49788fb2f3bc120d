"""Ensembles against the vote written out, and the one protocol that all classifiers share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core import Classifier, Ensemble, Guarded, InvalidInput
from core.attacks import PGD, Criterion
from core.defenses import JPEG, BitDepth, Chain, RandomResizePad
from core.explain.cams import class_maps
from core.explain.layers import layers
from core.models.query_counter import QueryCounter, QueryCounts
from core.systems import Member, System
from tests.core.attacks.networks import curved, random_images


def voted(members: list[Classifier], images: Tensor) -> Tensor:
    """Each image's shares, member by member and image by image (Dornadula et al. 2018, section 4.4)."""
    rows = []
    for image in images:
        total = 0.0
        for member in members:
            scores = member(image[None])[0].exp()
            total = total + scores / scores.sum()
        rows.append(total / len(members))
    return torch.stack(rows)


def three() -> list[Classifier]:
    return [curved(0), curved(1), Guarded(curved(2), BitDepth(bits=3))]


def test_the_vote_is_the_sum_of_scores_that_sum_to_one() -> None:
    members, x = three(), random_images(5)
    with torch.no_grad():
        found = Ensemble(members)(x)
        assert torch.allclose(found.softmax(1), voted(members, x), atol=1e-6)
        assert torch.allclose(found.exp().sum(1), torch.ones(5), atol=1e-6)
        assert torch.allclose(Ensemble(members).member_scores(x)[1], members[1](x).softmax(1))


def test_the_vote_decides_otherwise_than_most_members_where_one_is_surer() -> None:
    members, x = three(), random_images(40, seed=3)
    with torch.no_grad():
        each = torch.stack([member(x).argmax(1) for member in members])
        vote = Ensemble(members)(x).argmax(1)
    assert bool((vote != each[0]).any()) and bool((vote != each[1]).any()) and bool((vote != each[2]).any())


def test_the_gradient_is_that_of_the_vote() -> None:
    members, x = [curved(0), curved(1)], random_images(4)
    mine, naive = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(Ensemble(members)(mine)[:, 1].sum(), mine)
    (wanted,) = torch.autograd.grad(voted(members, naive)[:, 1].log().sum(), naive)
    assert torch.allclose(found, wanted, atol=1e-6) and float(wanted.abs().max()) > 1e-4


def test_an_ensemble_of_one_is_its_member() -> None:
    member, x = curved(4), random_images(6)
    y = member(x).argmax(1)
    assert torch.equal(Ensemble([member])(x), member(x))
    attack = PGD(eps=0.1, steps=5)
    assert torch.equal(attack(Ensemble([member]), x, y).images, attack(member, x, y).images)


def test_an_attack_on_the_vote_fools_the_vote_and_counts_each_image_once() -> None:
    members, x = three(), random_images(6)
    vote, counts = Ensemble(members), QueryCounts()
    with torch.no_grad():
        y = vote(x).argmax(1)
    result = PGD(eps=0.3, steps=10, random_start=False)(QueryCounter(vote, counts), x, y)
    assert bool(result.success.all())
    with torch.no_grad():
        assert bool((vote(result.images).argmax(1) != y).all())
    assert counts.gradients == 6 * 10


def test_a_defense_that_the_attacker_does_not_know_stays_unknown_inside_the_vote() -> None:
    bare = [curved(0), curved(1)]
    vote = Ensemble([Guarded(bare[0], BitDepth(bits=1), "none"), bare[1]])
    x = random_images(4)
    with torch.no_grad():
        assert torch.allclose(vote.surrogate(x), Ensemble(bare)(x))
        assert not torch.allclose(vote(x), Ensemble(bare)(x), atol=1e-3)
    assert Ensemble(bare).surrogate.device == bare[0].device


def test_random_members_answer_the_same_in_any_batch() -> None:
    vote = Ensemble([Guarded(curved(0), RandomResizePad(), "average", samples=3), curved(1)])
    x = random_images(6)
    with torch.no_grad():
        whole, alone = vote(x), torch.cat([vote(image[None]) for image in x])
    assert torch.allclose(whole, alone, atol=1e-5)
    y = whole.argmax(1)
    attack = PGD(eps=0.1, steps=3)
    first, second = (attack(vote, x, y, Criterion(), torch.Generator().manual_seed(1)).images for _ in range(2))
    assert torch.equal(first, second)


WRAPPED = {
    "guarded": lambda bare: Guarded(bare, Chain(members=())),
    "randomized": lambda bare: Guarded(bare, RandomResizePad(), "average"),
    "counter": lambda bare: QueryCounter(bare, QueryCounts()),
    "counter of guarded": lambda bare: QueryCounter(Guarded(bare, JPEG()), QueryCounts()),
    "vote": lambda bare: Ensemble([bare]),
    "vote of two that share a network": lambda bare: Ensemble([bare, Guarded(bare, JPEG())]),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_every_classifier_has_the_whole_protocol(kind: str) -> None:
    bare = curved(0)
    one = WRAPPED[kind](bare)
    for name in ("name", "domain", "classes", "size", "channels", "device"):
        assert getattr(one, name) == getattr(bare, name), name
    assert torch.equal(one.mean, bare.mean) and torch.equal(one.std, bare.std)
    assert one.accepted(random_images(1)).shape == (1, 3, 8, 8)
    assert one.title and one.surrogate.classes == bare.classes and one.one_draw().classes == bare.classes
    assert not one.training and not one.train().training
    prefix = "0." if kind.startswith("vote") else ""
    assert [layer.name for layer in layers(one) if layer.name.startswith(prefix)] == [
        prefix + layer.name for layer in layers(bare)
    ]
    assert one.cam_layer == (prefix + bare.cam_layer if bare.cam_layer else "")
    if bare.cam_layer:
        assert isinstance(one.cam_module, torch.nn.Module)
    moved = one.to("meta")
    assert moved.device.type == "meta"


def test_the_class_map_of_a_wrapped_classifier_is_the_classifiers_own() -> None:
    bare, x = curved(0), random_images(3)
    layer = layers(bare)[0]
    wanted = class_maps(bare, x, [0, 1, 2], layer=layer)
    assert wanted.any()
    for kind in ("guarded", "counter", "vote"):
        one = WRAPPED[kind](bare)
        found = class_maps(one, x, [0, 1, 2], layer=layers(one)[0])
        assert found == pytest.approx(wanted, abs=1e-5), kind


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (lambda: [], "at least one"),
        (lambda: [curved(0), curved(1, classes=5)], "different classes"),
        (lambda: [curved(0), torch.nn.Linear(2, 2)], "must be a Classifier"),
    ],
)
def test_members_that_do_not_fit_are_refused_in_a_sentence(members: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Ensemble(members())  # type: ignore[operator]


def test_a_system_is_made_of_names_and_says_what_it_is() -> None:
    own, other = curved(0), curved(1)
    loaded: list[str] = []

    def load(name: str) -> Classifier:
        loaded.append(name)
        return {"": own, "other": other}[name]

    chain = System.of(BitDepth(bits=3))
    vote = System((Member(), Member("other", "Other", JPEG())))
    assert loaded == []
    assert chain.describe() == BitDepth(bits=3).describe() and chain.classifier_names() == ()
    assert vote.describe() == "vote of the bare classifier, Other behind " + JPEG().describe()
    pair = System((Member(defense=JPEG()), Member("b", "Other")))
    assert pair.title == "vote of the classifier behind JPEG, Other" and System.of(JPEG()).title == "JPEG"
    assert vote.classifier_names() == ("other",) and vote.defense is None and chain.defense == BitDepth(bits=3)
    assert vote.nondifferentiable_parts() == JPEG().nondifferentiable_parts() and not vote.is_randomized()
    x = random_images(3)
    with torch.no_grad():
        assert torch.equal(chain.classifier(load)(x), own(BitDepth(bits=3)(x)))
        shares = (own(x).softmax(1) + other(JPEG()(x)).softmax(1)) / 2
        assert torch.allclose(vote.classifier(load)(x).softmax(1), shares, atol=1e-6)
    with pytest.raises(InvalidInput, match="different classes"):
        System((Member("more", "More"),)).classifier(lambda name: own if not name else curved(1, classes=5))
