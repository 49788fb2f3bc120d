"""The Training page, as a user uses it: a process that goes on without the page, its curves, and its result on another page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SHOTS, TALL, Open, finished, serving, settle, verdict
from tests.core.training.tiny import PLUGIN, values

SLOW = 90_000  # milliseconds that a process may take to begin or to end


@pytest.fixture
def alone(chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of its own that knows the tiny architecture, with one thread for each process."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tiny_network.py").write_text(PLUGIN)
    monkeypatch.setenv("MIRAGE_PLUGINS", str(tmp_path / "plugins"))
    with serving(tmp_path) as address:
        yield address
    for folder in (tmp_path / "training").glob("*"):  # a process of a test that failed ends, too
        (folder / "stop").touch()


def test_a_training_goes_on_without_its_page_and_its_result_is_used_at_once(
    alone: str, browse: Open, tmp_path: Path
) -> None:
    page = browse(f"{alone}/training", size=TALL)
    assert verdict(page).startswith("Train a classifier, a denoiser or attention masks")
    page.get_by_text("A plan of yours", exact=True).click()
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps(values(epochs=600)))
    page.locator("input[type=file]").first.set_input_files(plan)
    start = page.get_by_role("button", name=re.compile("^Start"))
    expect(start).to_be_enabled(timeout=30_000)
    with page.expect_download() as download:
        page.locator(".st-key-tr_plan_json").get_by_role("button").click()
    assert json.loads(Path(download.value.path()).read_text())["name"] == "mnist_tiny"
    start.click()

    # The curves come by themselves, and what is typed meanwhile stays.
    expect(page.locator("[class*=st-key-tr_curve] .js-line").first).to_be_visible(timeout=SLOW)
    expect(page.locator("[class*=st-key-px_tr_sample] img").first).to_be_visible(timeout=SLOW)
    assert "training=mnist_tiny" in page.url
    page.get_by_text("A new training", exact=True).click()
    name = page.get_by_role("textbox", name="Name of the result")
    expect(name).to_have_value("mnist_tiny_2", timeout=30_000)
    name.fill("mnist_typed")
    before = verdict(page)
    expect(page.get_by_role("heading", level=1)).not_to_have_text(before, timeout=30_000)
    for theme, width in (("light", 1440), ("dark", 1024), ("light", 390)):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 1400})
        page.wait_for_timeout(500)
        page.screenshot(path=SHOTS / f"training-runs-{theme}-{width}.png")
    page.set_viewport_size(TALL)
    expect(name).to_have_value("mnist_typed")

    # The page is closed, and the process goes on; another visit finds it and stops it.
    page.goto("about:blank")
    page.goto(f"{alone}/training")
    settle(page)
    stop = page.locator(".st-key-stop").get_by_role("button")
    expect(stop).to_be_enabled(timeout=30_000)
    stop.click()
    resume = page.get_by_role("button", name="Resume", exact=True)
    expect(resume).to_be_visible(timeout=SLOW)
    finished(page)
    assert re.match(r"mnist_tiny was stopped at \d+ %", verdict(page))

    resume.click()
    expect(page.locator(".st-key-stop").get_by_role("button")).to_be_enabled(timeout=30_000)
    page.locator(".st-key-stop").get_by_role("button").click()
    expect(resume).to_be_visible(timeout=SLOW)

    # A short one comes to its end while somebody looks and types, and its classifier is on Defend.
    finished(page)
    page.get_by_text("A new training", exact=True).click()
    page.get_by_text("A plan of yours", exact=True).click()
    plan.write_text(json.dumps(values(name="mnist_short", epochs=4)))
    page.locator("input[type=file]").first.set_input_files(plan)
    expect(page.get_by_role("textbox", name="Name of the result")).to_have_value("mnist_short", timeout=30_000)
    page.get_by_role("button", name=re.compile("^Start")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mnist_short is trained: right on", timeout=SLOW)
    link = page.get_by_role("link", name="Defend it")
    expect(link).to_be_visible(timeout=30_000)
    finished(page)
    page.screenshot(path=SHOTS / "training-done-light-1400.png", full_page=True)
    link.click()
    expect(page).to_have_url(re.compile(r"/defend\?"), timeout=30_000)
    finished(page)
    expect(page.locator(".st-key-side_classifier_mnist").get_by_role("combobox")).to_have_value("Tiny")
    assert page.locator("[data-testid=stException]").count() == 0


def test_a_training_is_deleted_after_a_question(alone: str, browse: Open, tmp_path: Path) -> None:
    (tmp_path / "training" / "broken").mkdir(parents=True)
    page = browse(f"{alone}/training", size=TALL)
    expect(page.get_by_text(re.compile("✗ 'broken'"))).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("No training is kept yet")).to_be_visible(timeout=30_000)
    assert not (tmp_path / "training" / "broken").exists()
