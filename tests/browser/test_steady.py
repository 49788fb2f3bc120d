"""The Attack screen keeps still: a chosen place stays, progress is in sight, and nothing jumps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from core.recipe import Method, Recipe
from tests.browser.conftest import DESKTOP, Open, finished, settle

SHIFTS = """() => { window.shiftSources = [];
  new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput)
    window.shiftSources.push([Math.round(e.startTime), e.value, ...e.sources.map((s) => [s.node && (s.node.className || s.node.nodeName),
      [s.previousRect.top, s.currentRect.top, s.previousRect.height, s.currentRect.height].map(Math.round)])]); }
  ).observe({ type: 'layout-shift', buffered: true }); }"""


def shifted(page: Any) -> float:
    """Cumulative Layout Shift as the Web Vitals define it: the largest burst (gaps under 1 s, 5 s at most) of unexpected shifts."""
    worst = total = began = last = 0.0
    for at, value, *_ in page.evaluate("() => window.shiftSources"):
        if total and at - last < 1000 and at - began < 5000:
            total += value
        else:
            total, began = value, at
        last, worst = at, max(worst, total)
    return worst


def in_recipe(page: Any) -> dict[str, Any]:
    """The attack's parameters as the address holds them."""
    word = page.url.partition("recipe=")[2].partition("&")[0]
    return dict(Recipe.from_link(word).attack.params) if word else {}


def target_of(address: str) -> str:
    word = address.partition("recipe=")[2].partition("&")[0]
    return Recipe.from_link(word).target if word else ""


def place(page: Any) -> Any:
    return page.get_by_role("application", name=re.compile("Place of the patch"))


def attacked(page: Any) -> None:
    page.get_by_role("button", name="Run the attack").click()
    finished(page)


@pytest.mark.parametrize("how", ["click", "drag", "keys"])
def test_a_chosen_place_stays_through_a_run_another_target_and_a_reload(server: str, browse: Open, how: str) -> None:
    link = Recipe(attack=Method(name="lavan", params={"steps": 2, "area": 0.04})).to_link()
    page = browse(f"{server}/attack?recipe={link}")
    finished(page)
    picker = place(page)
    picker.scroll_into_view_if_needed()
    box = picker.locator("img").bounding_box()
    x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"]
    if how == "click":
        page.mouse.click(x, y)
    elif how == "drag":
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(x, y, steps=4)
        page.mouse.up()
    else:
        picker.press("ArrowDown")
        picker.press("ArrowLeft")
    # The second key arrives after the first one has changed the address.
    page.wait_for_url(lambda _: "place" in in_recipe(page) and (how != "keys" or in_recipe(page).get("column") != 0.5))
    chosen = {word: in_recipe(page).get(word) for word in ("place", "row", "column")}
    assert chosen["place"] == "given"
    finished(page)

    def stands() -> None:
        assert {word: in_recipe(page).get(word) for word in chosen} == chosen
        words = f"row {chosen['row'] or 0:.2f}, column {chosen['column'] or 0:.2f}"
        assert place(page).locator("xpath=following-sibling::output").inner_text() == words

    attacked(page)
    stands()
    target = page.get_by_role("combobox", name="Target")
    target.click()
    target.press_sequentially("rocket")
    target.press("Enter")
    page.wait_for_url(lambda address: target_of(address) == "rocket")
    finished(page)
    attacked(page)
    stands()
    page.reload()
    settle(page)
    finished(page)
    stands()


@pytest.mark.parametrize("size", [DESKTOP, {"width": 1024, "height": 768}, {"width": 390, "height": 844}])
def test_progress_and_stop_are_in_sight_and_the_newest_image_stands_where_the_result_will(
    server: str, browse: Open, size: dict[str, int]
) -> None:
    params = {"steps": 1000, "area": 0.01, "confidence": 1.0}
    link = Recipe(attack=Method(name="lavan", params=params), target="galaxies").to_link()
    page = browse(f"{server}/attack?recipe={link}", size=size, wait=False)
    for beside_an_old_one in (False, True):  # it begins by itself
        if beside_an_old_one:
            page.get_by_role("button", name="Run the attack").click()
        stop = page.locator(".st-key-stop button")
        stop.wait_for(timeout=60_000)
        page.wait_for_selector(".st-key-live_slot img", timeout=60_000)
        for part in (stop, page.locator(".st-key-progress_job [data-testid=stProgress]")):
            box = part.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], box
            assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"], box
        if size["width"] > 640:
            newest = page.locator(".st-key-live_slot img").bounding_box()
            assert newest["y"] + newest["height"] <= size["height"], newest
        stop.click()
        finished(page)


def test_nothing_jumps_on_loading_and_on_running(server: str, browse: Open) -> None:
    page = browse("about:blank", wait=False)
    page.add_init_script(f"({SHIFTS})()")

    def still() -> None:
        assert shifted(page) < 0.1, page.evaluate("() => window.shiftSources")
        page.evaluate("() => { window.shiftSources = []; }")

    page.goto(f"{server}/attack?recipe={Recipe(seed=77).to_link()}")
    settle(page)
    finished(page)
    still()
    link = Recipe(attack=Method(name="lavan", params={"steps": 60}), seed=78).to_link()
    page.goto(f"{server}/attack?recipe={link}")
    settle(page)
    finished(page)
    still()
    page.get_by_role("spinbutton", name="Seed").fill("79")
    page.get_by_role("spinbutton", name="Seed").press("Enter")
    finished(page)
    attacked(page)
    still()


def test_another_domain_leaves_no_classifier_of_the_last_one(server: str, browse: Open) -> None:
    """Both domains call their first classifier "resnet", by another title: the browser must not send the old title as a choice."""
    page = browse(server)
    for domain, title in (("CIFAR-10", "ResNet"), ("Imagenette", "SE-ResNet")):
        page.locator(".st-key-side_domain").get_by_role("combobox").click()
        page.get_by_role("option", name=domain, exact=True).click()
        finished(page)
        expect(page.locator("[class*=st-key-side_classifier_]").get_by_role("combobox")).to_have_value(title)
    page.get_by_role("spinbutton", name="Seed").fill("5")
    page.keyboard.press("Enter")
    finished(page)
    assert "has no classifier called" not in page.locator("body").inner_text()
    expect(page.locator("[class*=st-key-side_classifier_]").get_by_role("combobox")).to_have_value("SE-ResNet")
