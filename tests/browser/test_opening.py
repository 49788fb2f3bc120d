"""The first user of a fresh server, with the network cut off: every address opens, at once and whole."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Open, serving, settle

PAGES = ("", "attack", "compare", "defend", "windows", "evaluate", "training", "gradcam", "detect", "certify")


@pytest.mark.parametrize("where", PAGES)
def test_the_first_session_opens_every_address(
    where: str, browse: Open, tmp_path: Path, chromium: Any, record_property: Any
) -> None:
    """Streamlit takes a folder called pages/ for its old kind of app until the first st.navigation; see streamlit_app.py."""
    with serving(tmp_path) as address:
        began = time.perf_counter()
        page = browse(f"{address}/{where}", wait=False)
        page.wait_for_selector(
            "[data-testid=stMain] img, [data-testid=stMain] canvas, .st-key-ev_run, .st-key-tr_start, .st-key-certify_run",
            timeout=60_000,
        )
        first = time.perf_counter() - began
        print(f"/{where}: first image after {first:.1f} s")
        record_property("first_image_s", round(first, 2))
        settle(page)
        assert page.get_by_role("dialog").count() == 0, page.get_by_role("dialog").all_inner_texts()
        assert page.url.rstrip("/").endswith(where)
        for name in ("Attack", "Defend"):  # the navigation is ours, not one made of file names
            assert page.get_by_role("link", name=name).count() >= 1
        assert "Page not found" not in page.locator("body").inner_text()
        assert first < 30  # the target is 6 s; more than this is a hang
        page.goto("about:blank")


def test_an_unknown_address_leads_home(server: str, browse: Open) -> None:
    page = browse(f"{server}/no-such-page")
    assert page.get_by_role("dialog").count() == 1
    assert page.locator("[data-testid=stException]").count() == 0
