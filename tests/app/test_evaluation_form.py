"""What is typed into an evaluation's form."""

from __future__ import annotations

import pytest

from app.sections.evaluation_form import eps_notes, eps_values
from core.evaluate.eps_grid import at_each_eps
from core.evaluate.plan import Plan
from core.inputs import InvalidInput
from core.recipe import Method


@pytest.mark.parametrize(
    ("text", "unit", "values"),
    [
        ("2, 4;8", "/255", ["2/255", "4/255", "8/255"]),
        ("0.75, 8/255", "/255", ["0.75/255", "8/255"]),
        ("0.1, 0.3", "", ["0.1", "0.3"]),
        ("", "/255", []),
        ("2, four", "/255", None),
        ("8/", "/255", None),
    ],
)
def test_eps_is_read_in_the_unit_of_the_domain(text: str, unit: str, values: list[str] | None) -> None:
    assert eps_values(text, unit) == values


def test_fractions_of_a_gray_level_are_explained() -> None:
    assert eps_notes(["2/255", "0.75/255", "1/0"]) == [
        "eps is 0.75 gray levels: the 8-bit image changes by up to 1/255, more than eps."
    ]


def test_an_eps_out_of_range_is_answered_as_it_was_typed() -> None:
    with pytest.raises(InvalidInput, match=r"eps is 300/255; in L∞ it must be at most 255/255"):
        at_each_eps([Method(name="pgd")], eps_values("300", "/255") or [])
    with pytest.raises(InvalidInput, match=r"FGSM: eps is 1\.2; it must be at most 1\."):
        at_each_eps([Method(name="fgsm")], eps_values("1.2", "") or [], "mnist")


def test_a_plan_keeps_what_differs_from_the_domains_defaults() -> None:
    (kept,) = at_each_eps([Method(name="fgsm")], ["0.3"], "mnist")
    assert kept == Method(name="fgsm")
    plan = Plan(domain="mnist", attacks=tuple(at_each_eps([Method(name="fgsm")], ["0.1", "0.3"], "mnist")))
    assert [plan.attack_title(n) for n in range(2)] == ["FGSM (eps 0.1)", "FGSM (eps 0.3)"]
