"""The screen of the denoisers in a browser: the kernels follow clicks and arrow keys, and the way on to Defend."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from core.recipe import Method, Recipe
from tests.browser.conftest import PHONE, TALL, Open, finished, verdict

DIGIT = Recipe(domain="mnist", classifier="a", attack=Method(name="fgsm", params={"eps": 0.2}), defenses=()).to_link()


def test_a_pixels_kernel_follows_clicks_and_keys(server: str, browse: Open) -> None:
    page = browse(f"{server}/denoisers?recipe={DIGIT}", size=TALL)
    finished(page)
    assert verdict(page).startswith("The denoiser ")
    explorer = page.get_by_role("application", name=re.compile("The adversarial image: click a pixel"))
    said = page.get_by_text(re.compile(r"^Row \d+, column \d+, values from 0 to 255"))
    expect(said).to_contain_text("Row 14, column 14")
    explorer.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("Row 15, column 13")
    explorer.scroll_into_view_if_needed()
    box = explorer.bounding_box()
    assert box is not None
    explorer.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    expect(said).not_to_contain_text("column 13")
    weights = page.get_by_role("img", name=re.compile("weights: "))
    assert len((weights.get_attribute("aria-label") or "").split(",")) == 25
    page.get_by_role("radio", name="clean").click()
    expect(page.get_by_role("application", name=re.compile("The clean image: click a pixel"))).to_be_visible()
    page.get_by_role("button", name="Compare with input transformations").click()
    page.wait_for_url("**/defend*")
    finished(page)
    assert page.get_by_text("Defense kernel network (DKN)").count() > 0


def test_nothing_is_cut_off_on_a_phone(server: str, browse: Open) -> None:
    page = browse(f"{server}/denoisers?recipe={DIGIT}", "dark", size=PHONE)
    finished(page)
    expect(page.get_by_text(re.compile(r"^Row \d+, column"))).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth + 1")
    page.get_by_text("About these weights").click()
    expect(page.get_by_text("python -m core train dkn_mnist_a --seed 0 --epochs 1")).to_be_visible()
