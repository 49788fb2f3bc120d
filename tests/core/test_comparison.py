"""Attacks at equal budget, and one attack on classifiers that it was not made on."""

from __future__ import annotations

import pytest
import torch

from core import InvalidInput, Recipe, attacks, domains, images
from core.analysis.comparison import compare_attacks, transfer
from core.recipe import ComparisonSpec, Method, craft, load_example
from core.recipe.recipe import with_budget


def test_each_attack_gets_the_budget_that_it_can_have() -> None:
    comparison = ComparisonSpec(attacks=("pgd", "square", "cw", "fgsm", "apgd_ce"), eps=0.01, steps=3)
    given = {name: with_budget(comparison, name).params for name in comparison.attacks}
    assert given["pgd"] == {"eps": 0.01, "steps": 3}
    assert given["square"] == {"eps": 0.01, "queries": 3}
    assert given["fgsm"] == {"eps": 0.01}
    assert given["cw"] == {}, "it has no budget, only a preset"
    assert given["apgd_ce"] == {"eps": 0.01, "steps": 5}, "as near as its range allows"
    for name, params in given.items():
        attacks.build(name, params)


def test_a_comparison_is_each_attack_by_itself() -> None:
    recipe = Recipe(comparison=ComparisonSpec(attacks=("fgsm", "pgd"), steps=3))
    example = load_example(recipe, device="cpu")
    found = compare_attacks(recipe, example)
    assert [entry.name for entry in found.entries] == ["fgsm", "pgd"]
    alone = craft(recipe.replace(attack=Method(name="pgd", params={"steps": 3})), example)
    assert (alone.adversarial == found.entries[1].attacked.adversarial).all()
    assert found.flags() == () and found.entries[0].attacked.gradient is not None


def test_stopped_it_keeps_what_is_done() -> None:
    recipe = Recipe(comparison=ComparisonSpec(attacks=("fgsm", "pgd", "mifgsm"), steps=50))
    found = compare_attacks(
        recipe, load_example(recipe, device="cpu"), on_progress=lambda p: p.text == "PGD" and p.done >= 2
    )
    assert [entry.name for entry in found.entries] == ["fgsm", "pgd"] and found.entries[1].attacked.stopped


def test_transfer_asks_every_classifier_of_every_image() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="fgsm", params={"eps": 0.3}))
    domain = domains.get("mnist")

    def example(name: str):  # type: ignore[no-untyped-def]
        return lambda: load_example(
            recipe.replace(classifier=name), device="cpu", classifier=domain.classifier(name, "cpu")
        )

    found = transfer(recipe, {name: example(name) for name in ("a", "b")})
    assert found.names == ("a", "b") and [len(row) for row in found.predictions] == [2, 2]
    made = craft(recipe, example("b")())
    with torch.no_grad():
        logits = domain.classifier("a", "cpu")(images.to_tensor(made.adversarial))
    assert found.predictions[1][0].label == int(logits.argmax())
    assert found.predictions[1][0].confidence == pytest.approx(float(logits.softmax(1).max()))


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no attack called"):
        Recipe(comparison={"attacks": ["magic"]})
    with pytest.raises(InvalidInput, match="eps"):
        Recipe(comparison={"eps": 3})
    with pytest.raises(InvalidInput):
        Recipe(comparison={"attacks": []})
