"""Text from outside is text on the screen: nothing of it becomes Markdown, and long values are cut."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from app.theme import plain
from core import Recipe
from core.attacks import PGD
from core.defenses import LGS
from core.inputs import InvalidInput
from core.recipe import Method
from tests.pages.visits import visit

HOSTILE = (
    "![](http://evil.example/x.png)",
    "[Session expired, log in again](http://evil.example)",
    "https://evil.example/login",
    "www.evil.example",
    "me@evil.example",
    "<img src=http://evil.example/x.png><b>",
    ":red[x] :material/home: :smile:",
    "$x^2$ `code` **bold** _it_ ~~gone~~",
    "# heading",
    "- item",
    "1. item",
    "    code",
    "> quote",
    "a\n\n# b\n- c",
    "&lt;b&gt;",
    "| a | b |\n|---|---|",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_it_is_live(text: str) -> None:
    safe = plain(text)
    assert "\n" not in safe and not safe.startswith((" ", "#", "-", ">", "1. ", "|"))
    for sign in "`*_[]<>#|~$&":
        for at, character in enumerate(safe):
            assert character != sign or (at and safe[at - 1] == "\\"), (sign, safe)
    assert "://" not in safe.replace("\\", "") and "www." not in safe and "@evil" not in safe
    assert ":red" not in safe.replace("\\:", "") and ":material" not in safe.replace("\\:", "")


def test_ordinary_sentences_stay_as_they_are() -> None:
    for text in ("cat.png: This file is empty; hand in another.", "0.5 of it (50 %)", "x′ = x + δ, 8/255"):
        assert plain(text) == text


def test_what_is_long_is_cut() -> None:
    assert len(plain("x" * 10_000)) == 600 and len(plain("x" * 100, 80)) == 80
    assert plain("a\u202eb\x00c") == "a\ufffdb\ufffdc"


LONG = "x" * 4000


@pytest.mark.parametrize(
    "values",
    [
        {"domain": LONG},
        {"classifier": LONG},
        {"target": LONG},
        {"image": {"name": LONG}},
        {"image": {"split": LONG}},
        {"image": {"kind": LONG}},
        {"attack": {"name": LONG}},
        {"attack": {"name": "pgd", "params": {LONG: 1}}},
        {"attack": {"name": "pgd", "params": {"eps": LONG}}},
        {"attack": {"name": "pgd", "params": {"norm": LONG}}},
        {"attack": {"name": "pgd", "params": {"steps": 10**400}}},
        {"defenses": [[{"name": LONG}]]},
        {"comparison": {"attacks": [LONG]}},
        {"attacker": LONG},
        {"seed": LONG},
        {LONG: 1},
    ],
)
def test_a_sentence_about_a_link_is_short(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Recipe.from_json(json.dumps(values))
    assert len(str(caught.value)) <= 500 and LONG[:200] not in str(caught.value)


@pytest.mark.parametrize("field", ["attack", "classifier", "target", "image"])
def test_a_hostile_link_is_quoted_and_nothing_more(field: str) -> None:
    bad = "![](http://e.example/x.png) [log in](http://e.example)"
    made = {"attack": {"name": bad[:40]}, "classifier": bad, "target": bad, "image": {"name": bad}}
    word = Recipe().to_link() if field == "" else _word({field: made[field]})
    app = visit("", word)
    for element in (*app.warning, *app.error, *app.caption, *app.info):
        shown = element.value.replace("\\[", "").replace("\\]", "")  # what is escaped is text
        assert "[" not in shown and "]" not in shown and "://e" not in element.value.replace("\\", "")
    assert any("Mirage shows its first example" in warning.value for warning in app.warning)


def _word(values: dict[str, object]) -> str:
    import base64

    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def test_methods_quote_what_they_were_given_briefly() -> None:
    for make in (
        lambda: PGD(norm=LONG),
        lambda: LGS(**{"lambda": LONG}),
        lambda: Recipe(attack=Method(name=LONG[:40])),
    ):
        with pytest.raises(InvalidInput) as caught:
            make()
        assert len(str(caught.value)) <= 500


def test_no_line_of_a_headline_begins_with_a_per_cent_sign() -> None:
    app = AppTest.from_string('from app import theme\ntheme.verdict("It removes 73 % of it (99.6 %).")').run()
    assert app.title[0].value == "It removes 73\u00a0% of it (99.6\u00a0%)."
