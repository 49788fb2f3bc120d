"""The browser's Back and Forward buttons, and a folder with an image that cannot be shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from core import Recipe
from core.recipe import Method
from tests.browser.conftest import Open, finished, serving, settle, verdict

WNIDS = [
    "n01440764",
    "n02102040",
    "n02979186",
    "n03000684",
    "n03028079",
    "n03394916",
    "n03417042",
    "n03425413",
    "n03445777",
    "n03888257",
]


def recipe(page: Any) -> Recipe:
    """The recipe of the address."""
    word = str(page.evaluate("() => new URLSearchParams(location.search).get('recipe') || ''"))
    return Recipe.from_link(word) if word else Recipe()


def attack_name(page: Any) -> str:
    return str(page.locator(".st-key-attack_name").get_by_role("combobox").input_value())


def gone(page: Any, step: str) -> None:
    """Go back or forward, and wait for the page that comes."""
    before = page.url
    page.evaluate(f"() => history.{step}()")
    page.wait_for_function("before => location.href !== before", arg=before)
    settle(page)
    finished(page)


def test_back_and_forward_restore_each_recipe_with_its_controls(server: str, browse: Open) -> None:
    first = Recipe(attack=Method(name="bim"), defenses=())
    page = browse(f"{server}/attack?recipe={first.to_link()}")
    finished(page)
    page.locator(".st-key-attack_name").get_by_role("combobox").click()
    page.get_by_role("option", name="FGSM", exact=True).click()
    finished(page)
    page.get_by_role("radio", name="rocket").click()
    finished(page)
    assert (recipe(page).attack.name, recipe(page).image.name) == ("fgsm", "rocket")
    gone(page, "back")
    assert (recipe(page).attack.name, recipe(page).image.name) == ("fgsm", "")
    expect(page.get_by_role("radio", name="cat")).to_have_attribute("aria-checked", "true")
    assert "a cat" in verdict(page)
    gone(page, "back")
    assert recipe(page) == first and attack_name(page) == "BIM"
    gone(page, "forward")
    gone(page, "forward")
    assert (recipe(page).attack.name, recipe(page).image.name) == ("fgsm", "rocket")
    expect(page.get_by_role("radio", name="rocket")).to_have_attribute("aria-checked", "true")
    assert "a rocket" in verdict(page)


def test_one_step_back_leaves_a_page(server: str, browse: Open) -> None:
    page = browse(f"{server}/?recipe={Recipe(attack=Method(name='fgsm'), seed=7).to_link()}")
    finished(page)
    page.get_by_role("link", name="Compare").first.click()
    page.wait_for_url("**/compare*")
    finished(page)
    assert recipe(page).seed == 7
    gone(page, "back")
    assert "/compare" not in page.url and recipe(page).seed == 7
    page.get_by_role("button", name="Attack this image").click()
    page.wait_for_url("**/attack*")
    finished(page)
    gone(page, "back")
    assert "/attack" not in page.url and recipe(page).seed == 7


@pytest.fixture(scope="module")
def damaged(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose Imagenette begins with a damaged file."""
    root = tmp_path_factory.mktemp("damaged")
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    for split in ("train", "val"):
        for wnid in WNIDS:
            folder = root / "imagenette2-160" / split / wnid
            folder.mkdir(parents=True)
            (folder / f"{wnid}_1.JPEG").write_bytes(file.getvalue())
    (root / "imagenette2-160" / "val" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 7)
    with serving(root) as address:
        yield address


def test_a_damaged_image_leaves_the_page_at_rest(damaged: str, browse: Open) -> None:
    word = Recipe(domain="imagenette", image={"kind": "dataset", "index": 1}, attack=Method(name="fgsm")).to_link()
    page = browse(f"{damaged}/?recipe={word}")
    finished(page)
    number = page.get_by_label("Number (0 to 9)")
    number.fill("0")
    number.press("Enter")
    page.get_by_text("This image cannot be shown").wait_for()
    finished(page)  # it comes to rest
    assert f"{WNIDS[0]}_1.JPEG" in page.locator("[data-testid=stAlert]").inner_text()
    number.fill("3")
    number.press("Enter")
    page.get_by_text("This image cannot be shown").wait_for(state="detached")
    finished(page)
    assert recipe(page).image.index == 3
