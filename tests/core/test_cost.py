"""How long work will take: what a link may begin by itself, and what is refused."""

from __future__ import annotations

import pytest

from core import Recipe, domains
from core.recipe import ComparisonSpec, Method, cost

BILATERAL = Method(name="bilateral", params={"window": 15})


def test_what_stands_on_a_screen_without_a_click_is_short() -> None:
    for domain in ("photos", "mnist", "cifar10", "imagenette"):
        recipe = Recipe(domain=domain)
        assert cost.attack_seconds(recipe) < cost.ASK
        assert cost.columns_seconds(recipe, "both") < cost.ASK
        assert cost.comparison_seconds(recipe) < cost.ASK


@pytest.mark.parametrize(
    "attack",
    [
        Method(name="pgd", params={"steps": 1000, "restarts": 20}),
        Method(name="cw", params={"steps": 1000, "binary_search_steps": 20}),
        Method(name="universal_patch", params={"steps": 5000}),
        Method(name="stadv", params={"steps": 1000, "binary_search_steps": 10}),
        Method(name="apgd_t", params={"steps": 1000}),
    ],
)
def test_a_long_attack_is_asked_about(attack: Method) -> None:
    assert cost.attack_seconds(Recipe(attack=attack)) > cost.ASK


def test_defenses_that_the_attacker_knows_count_at_every_look() -> None:
    recipe = Recipe(defenses=((Method(name="random_resize"), *[BILATERAL] * 5),))
    assert cost.columns_seconds(recipe, "adaptive") > 10 * cost.columns_seconds(recipe, "grey")
    twelve = Recipe(defenses=((BILATERAL,),) * 12)
    assert cost.columns_seconds(twelve, "adaptive") > cost.ASK
    assert cost.columns_seconds(twelve, "grey") < cost.columns_seconds(twelve, "adaptive")


def test_a_heavy_comparison_is_asked_about() -> None:
    names = ("pgd", "bim", "apgd_ce", "apgd_t", "cw", "stadv", "square", "worst_case")
    assert cost.comparison_seconds(Recipe(comparison=ComparisonSpec(attacks=names, steps=1000))) > cost.ASK


def test_the_link_that_exhausted_a_server_is_asked_about() -> None:
    wide = Method(name="bilateral", params={"window": 15, "sigma_spatial": 20, "sigma_range": 2})
    recipe = Recipe(
        attack=Method(name="pgd", params={"steps": 3}),
        defenses=((Method(name="random_resize"), *(wide,) * 5),),
        attacker="adaptive",
    )
    assert cost.attack_seconds(recipe) < cost.ASK < cost.columns_seconds(recipe, "adaptive")


def test_the_limit_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cost.most() == cost.MOST
    monkeypatch.setenv("MIRAGE_MOST_SECONDS", "90")
    assert cost.most() == 90
    monkeypatch.setenv("MIRAGE_MOST_SECONDS", "much")
    assert cost.most() == cost.MOST
    assert cost.on_device(100, "cuda:0") < cost.on_device(100, "cpu") == 100


def test_smoothing_a_two_layer_network_needs_no_question() -> None:
    mnist = domains.get("mnist")
    usual = cost.query_seconds("mnist", 200_000)
    assert cost.query_seconds("mnist", 200_000, mnist.classifier("a", "cpu")) == usual > cost.ASK
    assert cost.query_seconds("mnist", 200_000, mnist.classifier("mlp", "cpu")) < cost.ASK
