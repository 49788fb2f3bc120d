"""Budgets belong to the domain: defaults, slider ends, units, and the sentences about numbers out of range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import InvalidInput, Recipe, attacks, domains, images
from core.analysis.comparison import compare_attacks
from core.evaluate.plan import Plan
from core.recipe import ComparisonSpec, Method, craft, load_example
from core.recipe.recipe import build_attack, describe_attack

BOUNDED = ("pgd", "bim", "mifgsm", "fgsm", "apgd_ce", "apgd_t", "square", "worst_case", "uniform_noise")


@pytest.mark.parametrize("name", BOUNDED)
def test_mnist_has_the_fields_eps_and_the_others_have_eight_gray_levels(name: str) -> None:
    for domain, eps in (("mnist", 0.3), ("photos", 8 / 255), ("cifar10", 8 / 255), ("imagenette", 8 / 255)):
        recipe = Recipe(domain=domain, attack=Method(name=name))
        assert recipe.build_attack().values()["eps"] == pytest.approx(eps)
        assert Plan(domain=domain, attacks=(Method(name=name),)).built_attacks[0] == recipe.build_attack()
        assert "eps" not in recipe.attack_description() and "step_size" not in recipe.attack_description()
        assert recipe.attack.params == {}, "JSON and links keep what differs from the domain's defaults"


def test_an_explicit_eps_is_kept_and_written_in_the_domains_unit() -> None:
    old = Recipe(domain="mnist", attack=Method(name="pgd", params={"eps": 8 / 255}))
    assert Recipe.from_link(old.to_link()).build_attack().values()["eps"] == 8 / 255
    assert describe_attack("mnist", Method(name="pgd", params={"eps": 0.2})) == "PGD (eps 0.2)"
    assert describe_attack("photos", Method(name="pgd", params={"eps": 0.2})) == "PGD (eps 51/255)"
    assert describe_attack("photos", Method(name="pgd", params={"eps": 0.5, "norm": "l2"})) == "PGD (eps 0.5, norm l2)"
    assert attacks.PGD(eps=2.5, norm="l2").describe() == "PGD (eps 2.5, norm l2)", (
        "a length is no number of gray levels"
    )


def test_an_l2_attack_has_the_domains_l2_budget() -> None:
    for domain, eps in (("mnist", 2.0), ("cifar10", 0.5), ("photos", 3.0)):
        built = build_attack(domain, Method(name="pgd", params={"norm": "l2"}))
        assert built.values()["eps"] == eps
        (shown,) = (p for p in domains.get(domain).attack_parameters(attacks.PGD, {"norm": "l2"}) if p.name == "eps")
        assert shown.unit == "" and shown.slider_max is not None and shown.slider_max > eps


def test_the_comparison_has_the_domains_eps_until_it_is_set() -> None:
    assert Recipe().comparison_eps == 8 / 255 and Recipe(domain="mnist").comparison_eps == 0.3
    assert Recipe(domain="mnist", comparison=ComparisonSpec(eps="16/255")).comparison_eps == 16 / 255  # type: ignore[arg-type]
    recipe = Recipe(domain="mnist", comparison=ComparisonSpec(attacks=("fgsm",), steps=1))
    found = compare_attacks(recipe, load_example(recipe, device="cpu"))
    assert found.entries[0].attacked.norms.linf == pytest.approx(77 / 255), "0.3 is 76.5 gray levels"


def test_the_default_attack_fools_the_default_digit() -> None:
    recipe = Recipe(domain="mnist", attack=Method(name="pgd", params={"steps": 10}))
    assert craft(recipe, load_example(recipe, device="cpu")).success


@pytest.mark.parametrize(
    ("name", "eps", "words"),
    [
        ("fgsm", "300/255", "FGSM: eps is 300/255; it must be at most 255/255."),
        ("fgsm", "1.2", "FGSM: eps is 1.2; it must be at most 1."),
        ("fgsm", 1.2, "FGSM: eps is 1.2; it must be at most 1."),
        ("fgsm", "-1/255", "FGSM: eps is -1/255; it must be at least 0/255."),
        ("pgd", "300/255", "PGD: eps is 300/255; in L∞ it must be at most 255/255."),
        ("apgd_ce", "300/255", "APGD-CE: eps is 300/255; in L∞ it must be at most 255/255."),
        ("pgd", "6000/255", "PGD: eps is 6000/255; it must be at most 2550/255."),
        ("gaussian_noise", "300/256", None),
    ],
)
def test_a_number_out_of_range_is_answered_in_the_unit_that_was_typed(
    name: str, eps: object, words: str | None
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Recipe(attack=Method(name=name, params={"eps" if words else "sigma": eps}))
    assert str(refused.value) == (words or "Gaussian noise: sigma is 300/256; it must be at most 256/256.")


def test_the_contests_eps_is_answered_so_too() -> None:
    with pytest.raises(InvalidInput, match=r"comparison.eps is 300/255; it must be at most 255/255"):
        Recipe(comparison={"eps": "300/255"})


@pytest.mark.parametrize("levels", [0.25, 0.4, 0.5, 0.75, 1.0, 1.4, 2.5, 2.6, 8.0, 76.5])
def test_the_largest_change_of_an_8_bit_file_is_what_rounding_makes_of_eps(levels: float) -> None:
    grey = torch.arange(100, 156).view(1, 1, 7, 8) / 255
    moved = [images.to_pixels(grey + sign * levels / 255).astype(int) for sign in (-1, 1)]
    measured = max(int(np.abs(m - images.to_pixels(grey)).max()) for m in moved)
    assert images.largest_change(levels / 255) == measured
    note = images.rounding_note(levels / 255)
    assert (note == "") == (levels == int(levels))
    if note and measured:
        assert f"by up to {measured}/255, {'more' if measured > levels else 'less'} than eps" in note
    elif note:
        assert "does not change" in note
