"""The screens that show why, as a user uses them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from core.recipe import Method, Recipe, View
from tests.browser.conftest import TALL, Open, finished, verdict

DIGIT = Recipe(
    domain="mnist", classifier="a", attack=Method(name="pgd", params={"eps": "64/255", "steps": 20})
).to_link()
PATCH = Recipe(attack=Method(name="lavan", params={"steps": 60}), defenses=((Method(name="lgs"),),)).to_link()


def test_the_menu_leads_to_all_four(server: str, browse: Open) -> None:
    page = browse(server)
    finished(page)
    for title, words in (
        ("Grad-CAM", r"attention|looks at the same place"),
        ("Feature noise", r"of the last feature maps"),
        ("Attention masks", r"No attention masks have been trained for Photographs"),
        ("Landscape", r"Along the gradient"),
    ):
        page.get_by_role("button", name="See why").click()
        page.get_by_role("menuitem", name=title).click()
        expect(page.get_by_role("main").get_by_role("heading", level=1)).to_contain_text(
            re.compile(words), timeout=60_000
        )
        finished(page)


def test_heat_maps_follow_the_method_and_the_opacity(server: str, browse: Open, tmp_path: Path) -> None:
    page = browse(f"{server}/gradcam?recipe={PATCH}", size=TALL)
    finished(page)
    assert re.search(r"\d % of the classifier's attention lies inside the patch", verdict(page)), verdict(page)
    heat = page.get_by_role("list", name="Heat maps over the images").get_by_role("img")
    maps = page.get_by_role("list", name="Class maps in grey").get_by_role("img")
    assert heat.count() == maps.count() == 3
    before, grey = heat.nth(1).get_attribute("src"), maps.nth(1).get_attribute("src")
    page.get_by_role("slider", name="Opacity of the heat").focus()
    page.keyboard.press("ArrowRight")
    finished(page)
    assert heat.nth(1).get_attribute("src") != before and maps.nth(1).get_attribute("src") == grey
    page.get_by_role("combobox", name=re.compile("^Method|Grad-CAM")).first.click()
    page.get_by_role("option", name="LayerCAM").click()
    finished(page)
    assert maps.nth(1).get_attribute("src") != grey
    page.reload()
    finished(page)
    assert Recipe.from_link(parse_qs(urlsplit(page.url).query)["recipe"][0]).view.class_map == "layercam"
    with page.expect_download() as download:
        page.get_by_role("list", name="Class maps in grey").get_by_role(
            "link", name=re.compile("Save adversarial")
        ).click()
    download.value.save_as(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_a_slow_method_is_stopped_and_begun_again(server: str, browse: Open) -> None:
    quick = Recipe(attack=Method(name="fgsm"), defenses=((Method(name="lgs"),),), view=View(class_map="scorecam"))
    page = browse(f"{server}/gradcam?recipe={quick.to_link()}", size=TALL, wait=False)
    page.get_by_text(re.compile(r"Class maps: \d+ of \d+")).wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    again = page.get_by_role("button", name="Run", exact=True)
    again.wait_for()
    finished(page)
    assert verdict(page) == "The computation of class maps was stopped."
    # Once more what the progress bar asked for, as if it were late: it has no place any more, and no answer is due.
    for asked in page.evaluate("window.predictions.map(data => Array.from(data))"):
        message = BackMsg.FromString(bytes(asked))
        if message.rerun_script.fragment_id:
            page.evaluate("data => { window.socket.send(new Uint8Array(data)); window.asked = 0; }", asked)
    finished(page, timeout=15_000)
    assert verdict(page) == "The computation of class maps was stopped."
    again.click()
    finished(page)
    expect(page.get_by_role("list", name="Class maps in grey").get_by_role("img")).to_have_count(3, timeout=60_000)


def test_the_surface_turns_and_plots_are_saved(server: str, browse: Open, tmp_path: Path) -> None:
    page = browse(f"{server}/landscape?recipe={DIGIT}", size=TALL)
    finished(page)
    assert verdict(page).startswith("Along the gradient")
    board = page.locator(".st-key-landscape_surface canvas").first
    board.wait_for()
    page.wait_for_timeout(500)
    box = board.bounding_box()
    before = page.locator(".st-key-landscape_surface").screenshot()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 160, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert page.locator(".st-key-landscape_surface").screenshot() != before
    for view, words, key in (
        ("Decision regions", "classes lie on", "landscape_regions"),
        ("Spectrum", "above a quarter of a cycle", "landscape_spectrum"),
    ):
        page.get_by_role("radio", name=view).click()
        expect(page.get_by_role("main").get_by_role("heading", level=1)).to_contain_text(words, timeout=60_000)
        finished(page)
        page.locator(f".st-key-{key}_saves").get_by_role("button").first.click()
        for kind in ("PNG", "SVG", "PDF"):
            with page.expect_download() as download:
                page.get_by_role("button", name=kind, exact=True).click()
            download.value.save_as(tmp_path / "plot")
            assert (tmp_path / "plot").stat().st_size > 2000, (view, kind)
        page.keyboard.press("Escape")


def test_masks_by_beta_and_on_to_the_detector(server: str, browse: Open) -> None:
    page = browse(f"{server}/masks", size=TALL)
    finished(page)
    page.get_by_role("main").get_by_role("button", name="MNIST").click()
    expect(page.get_by_role("heading", name="By β")).to_be_visible(timeout=60_000)
    finished(page)
    shown = page.get_by_role("list", name=re.compile("The adversarial image, its mask")).get_by_role("img")
    before = shown.nth(1).get_attribute("src")
    page.get_by_role("slider", name="β").focus()
    page.keyboard.press("ArrowRight")
    finished(page)
    assert shown.nth(1).get_attribute("src") != before
    page.get_by_role("radio", name=re.compile("convolutional")).click()
    finished(page)
    assert shown.nth(1).get_attribute("src") != before
    page.get_by_role("button", name="Open Detect").click()
    page.wait_for_url("**/detect*")
    finished(page)
    assert "Mask disagreement (LAN)" in verdict(page)


def test_a_trial_of_the_detector_by_both_attackers(server: str, browse: Open) -> None:
    page = browse(f"{server}/detect?recipe={DIGIT}", size=TALL)
    finished(page)
    assert "flags the attacked image" in verdict(page) or "does not notice" in verdict(page)
    page.get_by_role("spinbutton", name="Images").fill("25")
    page.keyboard.press("Tab")
    finished(page)
    page.get_by_role("button", name="Attack 25 images, twice").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Known to the attacker", timeout=90_000)
    finished(page)
    before = verdict(page)
    assert re.search(r"flags \d+ of \d+ \(\d+ %\) images that fool", before)
    assert page.get_by_text("The detection does not hold").count() == 1
    page.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("End")
    finished(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile(r"flags 0 of"))
    page.get_by_role("radio", name="Feature squeezing").click()
    finished(page)
    expect(page.get_by_text("of 200 clean images")).to_have_count(1, timeout=60_000)
