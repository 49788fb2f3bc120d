"""The Defend screen, as a user uses it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import TimeoutError, expect

from core.recipe import Method, Recipe
from tests.browser.conftest import Open, finished, verdict


def test_columns_for_both_attackers(server: str, browse: Open) -> None:
    page = browse(f"{server}/defend")
    finished(page)
    columns = page.get_by_role("list", name="Defended images").get_by_role("listitem")
    columns.nth(3).wait_for(timeout=60_000)  # no defense, and three
    for image in columns.get_by_role("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth") == 160
    assert all(re.search("[✓✗]", column.inner_text()) for column in columns.all())
    grey = verdict(page)
    assert re.search(r"\d of 3 defenses .* cat", grey), grey
    page.get_by_role("radio", name=re.compile("knows it")).click()
    finished(page)
    columns.nth(3).wait_for(timeout=60_000)
    known = verdict(page)
    assert re.search(r"knows them, \d of 3", known), known
    page.reload()
    finished(page)
    assert verdict(page) == known


def test_stop_stops_an_attacker_who_knows_the_defense(server: str, browse: Open) -> None:
    long = Method(name="pgd", params={"steps": 1000, "restarts": 2, "eps": "1/255"})
    page = browse(f"{server}/defend?recipe={Recipe(attack=long, attacker='adaptive').to_link()}", wait=False)
    stop = page.get_by_role("button", name="Stop")
    stop.wait_for()
    for _ in range(5):  # the attack itself, then the columns; none of them begins again by itself
        try:
            stop.click(timeout=3_000)
        except TimeoutError:
            break  # nothing runs any more
        page.wait_for_timeout(500)
    finished(page, timeout=15_000)
    assert verdict(page)


def test_a_sweep_over_one_parameter(server: str, browse: Open) -> None:
    page = browse(f"{server}/defend")
    finished(page)
    tiles = page.get_by_role("list", name=re.compile(" over ")).get_by_role("listitem")
    tiles.nth(1).wait_for(timeout=60_000)
    assert page.locator("[data-testid=stException]").count() == 0


def test_a_column_more_and_a_column_less(server: str, browse: Open) -> None:
    page = browse(f"{server}/defend")
    finished(page)
    columns = page.get_by_role("list", name="Defended images").get_by_role("listitem")
    before = columns.count()
    opened(page)
    page.get_by_role("button", name="Add a column").click()
    finished(page)
    assert columns.count() == before + 1
    page.get_by_role("button", name="Remove").last.click()
    finished(page)
    assert columns.count() == before


def test_a_chain_is_dragged_into_another_order(server: str, browse: Open) -> None:
    chain = (
        Method(name="jpeg", params={"quality": 20}),
        Method(name="median"),
        Method(name="jpeg", params={"quality": 90}),
    )
    page = browse(f"{server}/defend?recipe={Recipe(defenses=(chain,)).to_link()}")
    finished(page)
    opened(page)
    items = page.get_by_role("list", name="The chain").get_by_role("listitem")
    expect(items).to_have_text(["JPEG", "Median filter", "JPEG"])
    first, last = items.nth(0).bounding_box(), items.nth(2).bounding_box()
    page.mouse.move(first["x"] + 30, first["y"] + 10)
    page.mouse.down()
    page.mouse.move(last["x"] + 30, last["y"] + last["height"] / 2, steps=10)
    page.mouse.up()
    expect(items).to_have_text(["Median filter", "JPEG", "JPEG"])
    page.wait_for_timeout(500)
    finished(page)
    assert chained(page) == [("median", None), ("jpeg", 90), ("jpeg", 20)]
    items.nth(2).focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(1200)
    finished(page)
    assert chained(page) == [("median", None), ("jpeg", 20), ("jpeg", 90)]


def chained(page: Any) -> list[tuple[str, int | None]]:
    """The first column as the address has it."""
    word = re.search("recipe=([^&]+)", page.url)
    assert word
    return [(m.name, m.params.get("quality")) for m in Recipe.from_link(word[1]).defenses[0]]


def opened(page: Any) -> None:
    """Open the box with the settings, and wait until it has come to rest: it opens slowly, and what moves is missed."""
    page.get_by_text("Defenses and their settings").click()
    page.wait_for_timeout(600)
