"""A server on a bare machine and a real browser whose network ends at 127.0.0.1."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(__file__).resolve().parent / "shots"
NO_BROWSER = "BROWSER TESTS SKIPPED: no Chromium here and none could be installed; set CHROMIUM to the path of one"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the network is cut off
)
DESKTOP, TALL, PHONE = {"width": 1400, "height": 1000}, {"width": 1400, "height": 1800}, {"width": 390, "height": 844}

# When the page last asked its server for something, and when it last heard from it; and all that it asked.
HEARD = """
window.predictions = [];
window.WebSocket = class extends WebSocket {
    constructor(...rest) {
        super(...rest);
        window.socket = this;
        this.addEventListener("message", () => { window.heard = performance.now(); });
    }
    send(data) { window.asked = performance.now(); window.predictions.push(data.slice()); super.send(data); }
};
"""

Open = Callable[..., Any]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the screenshots of the last run go away, once
        shutil.rmtree(SHOTS, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(NO_BROWSER in str(report.longrepr) for report in skipped):
        terminalreporter.section(NO_BROWSER, sep="!", red=True, bold=True)


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """A fresh server of this checkout with no data sets and no network; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "MIRAGE_DATA": str(data),
        "OMP_NUM_THREADS": "2",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        "no_proxy": "127.0.0.1,localhost",
    }
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "streamlit_app.py",
        f"--server.port={port}",
        "--server.headless=true",
    ]
    log = SHOTS / f"server-{port}.log"
    SHOTS.mkdir(exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    text = log.read_text()
    assert "Traceback" not in text, (
        f"the server's log holds a traceback:\n{text[text.index('Traceback') - 300 :][:3000]}"
    )
    log.unlink()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    from tests.browser.find_chromium import present

    path = present()
    if path is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        # One profile: the files of Streamlit, which no test is about, are fetched and compiled once.
        context = browser.new_context(accept_downloads=True, device_scale_factor=1)
        context.add_init_script(HEARD)
        yield context
        browser.close()


@pytest.fixture(scope="session")
def server(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests that need no fresh one."""
    with serving(tmp_path_factory.mktemp("no-data")) as address:
        yield address


@pytest.fixture
def browse(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open an address as a new user without cookies: browse(address, theme="light", size=DESKTOP, motion=True).

    Afterwards: not one request may have left this machine, no exception box may stand on a page, none of the page's own
    programs may have failed, and a failed test leaves a screenshot.
    """
    opened, outside, failures = [], [], []

    def watch(asked: Any) -> None:
        if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:", asked.url):
            outside.append(asked.url)

    def browse(address: str, theme: str = "light", size: dict[str, int] = DESKTOP, wait: bool = True) -> Any:
        page = chromium.new_page()
        page.set_default_timeout(20_000)
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.on("request", watch)
        page.on("pageerror", lambda error: failures.append(str(error)))
        opened.append(page)
        page.goto(address)
        if wait:
            settle(page)
        return page

    yield browse
    failed = getattr(request.node, "failed", False)
    complaints = []
    for number, page in enumerate(opened):
        if failed:
            name = re.sub(r"\W+", "-", request.node.name)
            page.screenshot(path=SHOTS / f"failed-{name}-{number}.png", full_page=True)
        complaints += page.locator("[data-testid=stException]").all_inner_texts()
        page.close()
    chromium.clear_cookies()
    assert not outside, f"the page asked for {outside}"
    assert not failures, f"a program of the page failed: {failures}"
    assert failed or not complaints, complaints


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[Any]:
    report = yield
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
    return report


def settle(page: Any, timeout: float = 60_000) -> None:
    """Wait until the script has run to its end and nothing on the page is stale."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=timeout)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')", timeout=timeout
    )


def finished(page: Any, timeout: float = 90_000) -> None:
    """Wait until no work is running for this page, either, no answer is missing, and it has been quiet for a moment."""
    page.evaluate("() => { window.quiet = 0; }")
    page.wait_for_function(
        """() => {
            const app = document.querySelector('[data-testid=stApp]');
            const busy = app?.dataset.testScriptState !== 'notRunning' || window.asked > window.heard
                || document.querySelector('.st-key-stop, [data-stale=true]');
            window.quiet = busy ? 0 : (window.quiet || performance.now());
            return window.quiet && performance.now() - window.quiet > 600;
        }""",
        timeout=timeout,
    )


def verdict(page: Any) -> str:
    """The largest line of the screen."""
    return str(page.get_by_role("main").get_by_role("heading", level=1).inner_text()).replace("\u00a0", " ")
