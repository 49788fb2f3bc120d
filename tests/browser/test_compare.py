"""The Compare screen, as a user uses it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Open, finished, verdict


def test_attacks_side_by_side_and_one_more(server: str, browse: Open) -> None:
    page = browse(f"{server}/compare")
    finished(page)
    made = page.get_by_role("list", name="What each attack made").get_by_role("listitem")
    expect(made).to_have_count(5, timeout=60_000)
    for image in made.get_by_role("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth") == 160
    assert re.match(r"\d of 5 attacks", verdict(page))
    page.get_by_role("button", name="Run the worst case too").click()
    page.get_by_role("list", name="What each attack made").get_by_text("Worst case").wait_for(timeout=60_000)
    finished(page)
    expect(made).to_have_count(6, timeout=60_000)
    assert re.match(r"\d of 6 attacks", verdict(page))
    page.reload()
    finished(page)
    expect(made).to_have_count(6, timeout=60_000)  # the images' component comes after the page
