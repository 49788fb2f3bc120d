"""Columns in their two forms: JSON, links, the command line, and what is refused."""

from __future__ import annotations

import json

import pytest

from core import InvalidInput, Recipe, domains
from core.evaluate import Plan
from core.recipe import Method
from core.recipe.columns import (
    MAX_COLUMNS,
    MemberSpec,
    SystemSpec,
    column_of,
    members_of,
    methods_of,
    named_classifiers,
    with_method,
)
from core.recipe.notation import parse_column

JPEG = Method(name="jpeg", params={"quality": "30"})
LGS = Method(name="lgs")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("jpeg:quality=30+lgs", (JPEG, LGS)),
        ("@b", SystemSpec(members=(MemberSpec(classifier="b"),))),
        ("jpeg:quality=30@b", SystemSpec(members=(MemberSpec(classifier="b", defenses=(JPEG,)),))),
        (
            "jpeg:quality=30+lgs@b | @ | lgs",
            SystemSpec(
                members=(
                    MemberSpec(classifier="b", defenses=(JPEG, LGS)),
                    MemberSpec(),
                    MemberSpec(defenses=(LGS,)),
                )
            ),
        ),
    ],
)
def test_one_column_is_the_same_on_the_command_line_in_json_and_in_links(text: str, column: object) -> None:
    assert parse_column(text) == column
    recipe = Recipe(domain="mnist", defenses=(parse_column(text),))
    assert recipe.defenses == (column,)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_link(recipe.to_link()) == recipe
    assert recipe.replace(seed=1).defenses == recipe.defenses
    plan = Plan(domain="mnist", defenses=(parse_column(text),))
    assert Plan.from_json(plan.to_json()).resolved().name == plan.name


def test_json_has_a_short_form_and_a_long_one() -> None:
    long = {"classifier": "b", "defenses": [{"name": "lgs"}]}
    texts = {
        json.dumps([{"name": "lgs"}]): (LGS,),
        json.dumps({"classifier": "", "defenses": [{"name": "lgs"}]}): (LGS,),  # the short form is the same column
        json.dumps(long): SystemSpec(members=(MemberSpec(classifier="b", defenses=(LGS,)),)),
        json.dumps({"members": [long, {}]}): SystemSpec(
            members=(MemberSpec(classifier="b", defenses=(LGS,)), MemberSpec())
        ),
    }
    for text, column in texts.items():
        recipe = Recipe.from_json(f'{{"domain": "mnist", "defenses": [{text}]}}')
        assert recipe.defenses == (column,), text
        assert json.loads(recipe.to_json())["defenses"] == recipe.model_dump(mode="json")["defenses"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"classifier": "nobody"}, "no classifier called 'nobody'"),
        ({"members": []}, "members"),
        ({"members": [{}] * 7}, "members"),
        ({"classifier": ""}, "A column needs a defense"),
        ({}, "members"),
        ([], "1 to 6 methods"),
        ({"classifier": "b", "vote": 1}, "vote"),
        ({"members": [{"defenses": [{"name": "nothing"}]}, {}]}, "nothing"),
        ({"members": [{"defenses": [{"name": "jpeg", "params": {"quality": 0}}]}, {}]}, "quality"),
        ("jpeg", "defenses"),
        (7, "defenses"),
    ],
)
def test_what_is_no_column_gets_a_sentence(column: object, said: str) -> None:
    for kind in (Recipe, Plan):
        with pytest.raises(InvalidInput, match=said) as error:
            kind.from_json(json.dumps({"domain": "mnist", "defenses": [column]}))
        assert "\n" not in str(error.value)


def test_naming_and_validating_loads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(type(domains.get("mnist")), "classifier", refuse)
    recipe = Recipe(domain="mnist", defenses=(parse_column("jpeg@b|@"), parse_column("@b")))
    titles = [system.describe() for system in recipe.build_systems()]
    title = domains.get("mnist").classifier_title("b")
    assert titles[0].startswith(f"vote of {title} behind JPEG") and titles[1] == title
    assert named_classifiers(recipe.defenses) == ("b",)
    assert [method.name for method in methods_of(recipe.defenses)] == ["jpeg"]
    assert column_of(members_of(recipe.defenses[0])) == recipe.defenses[0]


def test_a_method_takes_the_place_of_the_first_of_its_names() -> None:
    old, new, jpeg = Method(name="lgs"), Method(name="median"), Method(name="jpeg")
    vote = SystemSpec(members=(MemberSpec(defenses=(jpeg, old)), MemberSpec(classifier="vgg", defenses=(old,))))
    changed = with_method(((jpeg,), vote, (old,)), ("lgs",), new)
    assert changed[0] == (jpeg,) and changed[2] == (old,)
    assert [m.defenses for m in members_of(changed[1])] == [(jpeg, new), (old,)], "the first one alone"
    assert with_method(((jpeg,),), ("lgs",), new) == ((jpeg,), (new,))
    with pytest.raises(InvalidInput, match="has 12 defenses already; remove one on the Defend page"):
        with_method(((jpeg,),) * MAX_COLUMNS, ("lgs",), new)
    assert with_method(((old,),) * MAX_COLUMNS, ("lgs",), new)[0] == (new,)
