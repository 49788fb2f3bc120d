"""The pictures of the README: MIRAGE_SCREENSHOTS=1 puts them into assets/screenshots, otherwise they are only looked at."""

from __future__ import annotations

import os

import pytest

from core.recipe import Recipe
from tests.browser.conftest import ROOT, SHOTS, Open, finished

WHERE = ROOT / "assets" / "screenshots" if os.environ.get("MIRAGE_SCREENSHOTS") == "1" else SHOTS
SIZE = {"width": 1500, "height": 1050}


@pytest.mark.parametrize("where", ["start", "attack", "compare", "defend"])
def test_screens(where: str, server: str, browse: Open) -> None:
    query = f"?recipe={Recipe(attacker='adaptive').to_link()}" if where == "defend" else ""
    page = browse(f"{server}/{'' if where == 'start' else where}{query}", size=SIZE)
    finished(page)
    page.mouse.move(0, 0)
    WHERE.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=WHERE / f"{where}.png")
    assert (WHERE / f"{where}.png").stat().st_size > 20_000
