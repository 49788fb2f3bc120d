"""The Attack screen, as a user uses it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import expect

from core import domains, images
from core.recipe import Method, Recipe
from tests.browser.conftest import Open, finished, settle, verdict

EQUATION = "clean plus change is adversarial"


def link(server: str, where: str, **recipe: Any) -> str:
    return f"{server}/{where}?recipe={Recipe(**recipe).to_link()}"


def saved(page: Any, label: str, folder: Path) -> bytes:
    """What the Save link of that image puts on the user's disk."""
    with page.expect_download() as download:
        page.get_by_role("link", name=label).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path.read_bytes()


def test_three_doors_lead_on(server: str, browse: Open) -> None:
    page = browse(server)
    assert "cat" in verdict(page)
    for door in ("Attack this image", "Compare defenses", "Use an image of yours"):
        assert page.get_by_role("button", name=door).is_visible()
    page.get_by_role("button", name="Attack this image").click()
    page.wait_for_url("**/attack*")
    finished(page)
    assert "cat" in verdict(page)
    page.get_by_role("link", name="Start", exact=True).click()
    settle(page)
    page.get_by_role("button", name="Compare defenses").click()
    page.wait_for_url("**/defend*")


def test_the_equation_and_what_is_saved_from_it(server: str, browse: Open, tmp_path: Path) -> None:
    page = browse(f"{server}/attack")
    finished(page)
    words = verdict(page)
    assert re.search(r"It was an? cat .* After \d+ steps?, .* the classifier sees", words), words
    tiles = page.get_by_role("list", name=EQUATION).get_by_role("listitem")
    assert tiles.count() == 3
    assert [tile.inner_text()[:1] for tile in tiles.all()] == ["x", "+", "="]
    for image in tiles.get_by_role("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth") == 160
    files = {name: saved(page, f"Save {name}", tmp_path) for name in ("x, clean", "x′, adversarial")}
    clean, adversarial = (images.from_png(data) for data in files.values())
    assert np.abs(clean.astype(int) - adversarial).max() <= 8  # eps, in an 8-bit file
    classifier = domains.get("photos").classifier(device="cpu")
    with torch.no_grad():
        shares = classifier(images.to_tensor(adversarial)).softmax(1)[0]
    seen = classifier.classes[int(shares.argmax())]
    assert seen != "cat"
    caption = tiles.nth(2).inner_text()
    assert seen in caption and f"{100 * float(shares.max()):.0f}"[:1] in caption  # the file gets what the screen says
    page.get_by_text("More: numbers").click()
    button = page.get_by_role("button", name="Recipe (JSON)")
    button.scroll_into_view_if_needed()
    finished(page)  # the panel has stopped unfolding
    with page.expect_download() as download:
        button.click()
    assert Recipe.from_json(Path(download.value.path()).read_bytes()) == Recipe()


def test_an_image_can_be_enlarged(server: str, browse: Open) -> None:
    page = browse(f"{server}/attack")
    finished(page)
    page.get_by_role("button", name="Enlarge x′, adversarial").click()
    assert page.locator("dialog[open] img").bounding_box()["width"] > 500
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_it_shows_progress_and_stop_stops(server: str, browse: Open) -> None:
    long = Method(name="pgd", params={"steps": 1000, "restarts": 2})
    page = browse(link(server, "attack", attack=long, seed=7), wait=False)
    progress = page.get_by_text(re.compile(r"PGD: [1-9][\d,]* of 2,000"))
    progress.wait_for()
    first = progress.inner_text()
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=first)  # it moves
    began = time.perf_counter()
    page.get_by_role("button", name="Stop").click()
    finished(page, timeout=15_000)
    assert time.perf_counter() - began < 8
    assert re.search(r"[Ss]topped after \d+ steps|After \d+ step", verdict(page)), verdict(page)
    assert page.get_by_role("list", name=EQUATION).get_by_role("listitem").count() == 3
    page.get_by_role("button", name="Run the attack").click()  # and it can be begun again
    progress.wait_for()
    page.get_by_role("button", name="Stop").click()
    finished(page, timeout=15_000)


def test_the_scrubber_walks_through_the_steps(server: str, browse: Open) -> None:
    page = browse(f"{server}/attack")
    finished(page)
    scrubber = page.get_by_role("slider", name="Step of the attack")
    last = scrubber.get_attribute("aria-valuetext")
    scrubber.focus()
    page.keyboard.press("Home")
    start = scrubber.get_attribute("aria-valuetext")
    assert start.startswith("step 0 (") and start != last
    page.keyboard.press("ArrowRight")
    assert scrubber.get_attribute("aria-valuetext").startswith("step 1:")


def test_a_moved_slider_gives_a_new_image_at_once(server: str, browse: Open, record_property: Any) -> None:
    page = browse(link(server, "attack", attack=Method(name="fgsm")))
    finished(page)
    image = page.get_by_role("list", name=EQUATION).get_by_role("img").nth(2)
    slider = page.get_by_role("slider", name=re.compile("eps"))
    took = []
    for _ in range(3):
        before = image.get_attribute("src")
        slider.focus()
        began = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            """before => { const find = r => [...r.querySelectorAll('*')].flatMap(e => e.shadowRoot ? find(e.shadowRoot)
                : e.matches('img[alt^="x′"]') ? [e] : []); const i = find(document)[0]; return i && i.src !== before; }""",
            arg=before,
            polling=20,
        )
        took.append(time.perf_counter() - began)
        settle(page)
    print("slider to image:", *(f"{t:.2f} s" for t in took))
    record_property("slider_to_image_s", round(sorted(took)[1], 2))
    assert min(took) < 3  # the target is 0.5 s on a quiet machine


def test_the_link_keeps_the_recipe(server: str, browse: Open) -> None:
    recipe = Recipe(attack=Method(name="fgsm", params={"eps": "4/255"}), image={"name": "coffee"}, seed=3)
    page = browse(f"{server}/attack?recipe={recipe.to_link()}")
    finished(page)
    words = verdict(page)
    assert "coffee" in words
    page.reload()
    settle(page)
    finished(page)
    assert verdict(page) == words
    page.get_by_role("link", name="Defend", exact=True).click()
    page.wait_for_url("**/defend*")
    finished(page)
    assert "coffee" in page.get_by_role("main").inner_text()
    page.get_by_role("link", name="Attack", exact=True).click()
    page.wait_for_url("**/attack*")
    finished(page)
    assert verdict(page) == words
    kept = Recipe.from_link(page.url.partition("recipe=")[2])
    assert (kept.image, kept.seed, kept.build_attack()) == (recipe.image, recipe.seed, recipe.build_attack())


def test_a_damaged_link_gets_one_sentence(server: str, browse: Open) -> None:
    for word in ("nonsense", "eyJhdHRhY2siOnsibmFtZSI6Im9zLnN5c3RlbSJ9fQ"):  # the second names os.system
        page = browse(f"{server}/?recipe={word}")
        assert page.get_by_text("Mirage shows its first example instead.").count() == 1
        assert "cat" in verdict(page)


def test_another_image_from_the_sidebar(server: str, browse: Open) -> None:
    page = browse(f"{server}/attack")
    finished(page)
    page.get_by_role("radio", name="rocket").click()
    page.wait_for_url("**recipe=*")
    finished(page)
    assert "rocket" in verdict(page)


def test_another_attack_from_the_list(server: str, browse: Open) -> None:
    page = browse(f"{server}/attack")
    finished(page)
    first = verdict(page)
    chooser = page.get_by_role("combobox", name="Attack", exact=True)
    for title, words in (("FGSM", "After 1 step, "), ("LaVAN patch", "changing 9 % of the image"), ("PGD", first)):
        chooser.fill(title)  # the list is long: whoever knows the name types it
        page.get_by_role("option", name=title, exact=True).click()
        settle(page)
        page.get_by_role("button", name="Run the attack").click()
        finished(page)
        assert chooser.input_value() == title
        assert words in verdict(page)


def test_the_patch_lies_where_it_is_clicked(server: str, browse: Open) -> None:
    recipe = Recipe(attack=Method(name="lavan", params={"steps": 3}))
    page = browse(f"{server}/attack?recipe={recipe.to_link()}")
    finished(page)
    image = page.get_by_role("application", name=re.compile("Place of the patch"))
    image.click(position={"x": 3, "y": image.bounding_box()["height"] - 3})  # type: ignore[index]
    page.get_by_text("row 1.00, column 0.00").wait_for()
    page.wait_for_url(lambda address: placed(address) == {"steps": 3, "place": "given", "row": 1.0, "column": 0.0})
    page.get_by_role("button", name=re.compile("Run the attack")).click()
    page.wait_for_function("!document.body.innerText.includes('Press Run')")
    finished(page)
    image.press("ArrowRight")
    page.get_by_text("row 1.00, column 0.05").wait_for()
    page.wait_for_url(lambda address: placed(address).get("column") == 0.05)


def placed(address: str) -> dict[str, object]:
    """The attack's parameters in that address."""
    return Recipe.from_link(address.partition("recipe=")[2]).attack.params


def test_a_kept_patch_goes_onto_the_next_image_where_it_is_put(server: str, browse: Open) -> None:
    recipe = Recipe(
        domain="mnist", attack=Method(name="universal_patch", params={"steps": 5, "batch": 4, "area": 0.15})
    )
    page = browse(f"{server}/attack?recipe={recipe.to_link()}")
    finished(page)
    page.get_by_role("tab", name="Print").click()
    page.get_by_role("button", name="Keep it for other images").click()
    patched = page.get_by_role("img", name=re.compile("^with the patch"))
    patched.wait_for()
    settle(page)
    first = patched.get_attribute("src")
    places = page.get_by_role("application", name=re.compile("Place of the patch"))
    for _ in range(3):
        places.last.press("ArrowDown")
    expect(patched).not_to_have_attribute("src", str(first))
    settle(page)
    second = patched.get_attribute("src")
    page.get_by_role("radio", name="7 (stand-in)").click()
    page.get_by_text("Press Run to attack this image").wait_for()
    settle(page)
    assert len({first, second, patched.get_attribute("src")}) == 3
