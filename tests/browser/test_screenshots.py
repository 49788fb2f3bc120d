"""The images of the README: MIRAGE_SCREENSHOTS=1 puts them into assets/screenshots, otherwise they are only looked at."""

from __future__ import annotations

import os
import re

import pytest

from core.recipe import Method, Recipe
from tests.browser.conftest import ROOT, SHOTS, Open, finished, verdict

KEPT = os.environ.get("MIRAGE_SCREENSHOTS") == "1"
WHERE = ROOT / "assets" / "screenshots" if KEPT else SHOTS
SIZE = {"width": 1500, "height": 1050}


@pytest.mark.parametrize(
    "where",
    [
        "start",
        "attack",
        "compare",
        "defend",
        "windows",
        "evaluate",
        "training",
        "models",
        "denoisers",
        "gradcam",
        "landscape",
        "masks",
        "detect",
        "certify",
    ],
)
def test_screens(where: str, server: str, browse: Open) -> None:
    patch = Method(name="lavan", params={"steps": 200})
    digit = Recipe(domain="mnist", classifier="a", attack=Method(name="pgd", params={"eps": "64/255"}))
    recipe = {
        "defend": Recipe(attacker="adaptive"),
        "windows": Recipe(attack=patch),
        "gradcam": Recipe(attack=patch, defenses=((Method(name="lgs"),), (Method(name="median"),))),
        "denoisers": digit.replace(defenses=()),
        "masks": digit,
        "detect": digit,
        "certify": digit.replace(classifier="cnn_robust"),
    }.get(where)
    query = f"?recipe={recipe.to_link()}" if recipe else ""
    page = browse(f"{server}/{'' if where == 'start' else where}{query}", size=SIZE)
    finished(page)
    if where == "evaluate" and not verdict(page).startswith("PGD"):
        page.get_by_role("spinbutton", name="Images").fill("16" if KEPT else "4")
        page.get_by_placeholder("or 2, 4, 8").fill("2, 4, 8")
        page.keyboard.press("Tab")
        finished(page)
        page.get_by_role("button", name=re.compile("Run")).click()
        finished(page, timeout=180_000)
    if where == "detect":
        page.get_by_role("button", name=re.compile("Attack .* twice")).click()
        finished(page)
    page.mouse.move(0, 0)
    WHERE.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=WHERE / f"{where}.png")
    assert (WHERE / f"{where}.png").stat().st_size > 20_000
