"""The Evaluate screen, as a user uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from core.recipe import Method, Recipe
from tests.browser.conftest import TALL, Open, finished, serving, verdict


@pytest.fixture
def alone(chromium: Any, tmp_path: Path) -> Any:
    """A server of its own: what runs there is kept in its own folder."""
    with serving(tmp_path) as address:
        yield address


def test_from_the_first_run_to_an_image_in_another_screen(alone: str, browse: Open, tmp_path: Path) -> None:
    page = browse(f"{alone}/evaluate?recipe={Recipe(attack=Method(name='fgsm')).to_link()}", size=TALL)
    assert verdict(page).startswith("Choose attacks and defenses")
    page.get_by_role("combobox", name=re.compile("Detectors")).click()
    page.get_by_role("option", name="Feature squeezing", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Run")).click()
    finished(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile(r"FGSM \(eps 8/255\) leaves \d+ of 17 right \(17 without it\)")
    )
    assert re.search(r"brings back \d+ of \d+ fooled \(.*Known to the attacker: \d+", verdict(page)), verdict(page)
    grid = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(grid["x"] + 430, grid["y"] + 90)  # the attack's row, the first defense
    expect(page.get_by_role("heading", level=3).first).to_contain_text("FGSM (eps 8/255), JPEG (not known)")
    finished(page)
    images = page.get_by_role("list", name="Images of the cell").get_by_role("listitem")
    expect(images).to_have_count(12, timeout=60_000)
    # The box: plotly puts new elements into it when the page's width changes.
    page.locator("[class*=st-key-ev_confusion]").first.scroll_into_view_if_needed()
    spot = page.locator("[class*=st-key-ev_confusion] .textpoint").first.bounding_box()
    page.mouse.move(spot["x"] + 4, spot["y"] + 4)
    page.mouse.click(spot["x"] + 4, spot["y"] + 4)
    finished(page)
    expect(page.get_by_text(re.compile(r"true class \w+, prediction \w+")).first).to_be_visible()
    assert 1 <= images.count() < 12
    with page.context.expect_page() as opened:
        images.first.get_by_role("link", name=re.compile("in Gradient windows")).click()
    other = opened.value
    finished(other)
    assert "/windows" in other.url and "stand" in verdict(other)
    other.close()
    for name in ("CSV", "LaTeX", "Markdown", "Whole report", "Plan (JSON)", "Results (SQLite)"):
        with page.expect_download() as download:
            page.locator(".st-key-ev_saves").get_by_role("button", name=name, exact=True).click()
        download.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").stat().st_size > 50, name


def test_stop_keeps_what_is_done_and_go_on_finishes_it(alone: str, browse: Open) -> None:
    slow = Method(name="pgd", params={"steps": 300, "early_stop": False, "eps": 1 / 255})
    page = browse(
        f"{alone}/evaluate?recipe={Recipe(attack=slow, defenses=((Method(name='jpeg'),),)).to_link()}", size=TALL
    )
    page.get_by_role("button", name=re.compile("Run")).click()
    page.get_by_text(re.compile(r"\d of \d+ parts")).first.wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    go_on = page.get_by_role("button", name="Go on")
    go_on.wait_for()
    page.reload()
    finished(page)
    go_on.click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.reload()  # it goes on without its user, and is found again
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    assert page.locator("[data-testid=stException]").count() == 0


def test_the_matrix_fills_by_itself_for_everybody_and_keeps_what_was_chosen(alone: str, browse: Open) -> None:
    slow = Method(name="pgd", params={"steps": 60, "early_stop": False, "eps": 1 / 255})
    link = f"{alone}/evaluate?recipe={Recipe(attack=slow, defenses=((Method(name='jpeg'),), (Method(name='median'),))).to_link()}"
    page = browse(link, size=TALL)
    page.get_by_role("button", name=re.compile("Run")).click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("At work|at work"), timeout=60_000)
    other = browse(page.url, size=TALL, wait=False)
    expect(other.get_by_role("button", name="Stop", exact=True)).to_be_visible(timeout=60_000)
    page.locator("[data-testid=stDataFrame]").first.wait_for(timeout=90_000)
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 55)  # the clean images behind some defense
    expect(page.get_by_role("heading", level=3).first).to_contain_text("Clean images, ", timeout=60_000)
    chosen = page.get_by_role("heading", level=3).first.inner_text()
    before = verdict(page)
    for seen in (page, other):  # nobody presses anything
        expect(seen.get_by_role("heading", level=1)).not_to_have_text(before, timeout=120_000)
    assert page.locator("[data-testid=stDataFrame]").first.bounding_box()["height"] == box["height"]
    expect(page.get_by_role("heading", level=3).first).to_have_text(chosen)
    other.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    finished(other)
    for seen in (page, other):
        expect(seen.get_by_role("heading", level=1)).to_contain_text(re.compile("Unfinished|leaves|fools"))
        assert seen.locator("[data-testid=stException]").count() == 0


def test_on_a_shared_server_a_browser_keeps_its_runs_over_a_reload_and_no_other_one_has_them(
    chromium: Any, browse: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRAGE_RUNS", "own")
    slow = Method(name="pgd", params={"steps": 500, "early_stop": False, "eps": 1 / 255})
    with serving(tmp_path) as address:
        page = browse(f"{address}/evaluate?recipe={Recipe(attack=slow, defenses=((Method(name='jpeg'),),)).to_link()}")
        page.get_by_role("button", name=re.compile("Run")).click()
        page.get_by_role("button", name="Stop", exact=True).wait_for(timeout=60_000)
        mine = [cookie for cookie in chromium.cookies(address) if cookie["name"] == "mirage_browser"]
        assert len(mine) == 1 and mine[0]["httpOnly"]
        page.reload()
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_enabled(timeout=60_000)
        chromium.clear_cookies()  # the next page is another browser's
        other = browse(page.url, wait=False)
        expect(other.get_by_role("button", name="Stop", exact=True)).to_be_disabled(timeout=60_000)
        expect(other.get_by_text("begun by somebody else")).to_be_visible(timeout=60_000)
        page.get_by_role("button", name="Stop", exact=True).click()
        finished(page)
        expect(page.get_by_role("button", name="Go on")).to_be_visible(timeout=60_000)
        assert other.get_by_role("button", name="Delete").count() == 0
