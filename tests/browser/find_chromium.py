"""Print the path of a Chromium to test with: python tests/browser/find_chromium.py [--install]

In this order: $CHROMIUM, one on the PATH, Playwright's own; with --install, Playwright's download, then, as root,
Debian's package. Exits with 1 and the reason on stderr where there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def present() -> str | None:
    """A browser that is already there."""
    given = os.environ.get("CHROMIUM")
    if given and Path(given).exists():
        return given
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path:
        return on_path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if own and Path(own).exists() else None


def _playwright() -> None:
    _run([sys.executable, "-m", "playwright", "install", "chromium"])


def _debian() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise OSError("not root on a Debian")
    _run(["apt-get", "update"])
    _run(["apt-get", "install", "-y", "--no-install-recommends", "chromium"])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, timeout=600, capture_output=True, text=True)
    if done.returncode:
        raise OSError((done.stderr or done.stdout).strip().splitlines()[-1][:200])


def install() -> str | None:
    """A browser from Playwright, else from Debian."""
    ways: tuple[tuple[str, Callable[[], None]], ...] = (("Playwright", _playwright), ("Debian", _debian))
    for name, way in ways:
        print(f"no browser here: trying {name}'s ...", file=sys.stderr)
        try:
            way()
        except (OSError, IndexError, subprocess.TimeoutExpired) as error:
            print(f"  {name}: {error}", file=sys.stderr)
            continue
        if found := present():
            return found
    return None


if __name__ == "__main__":
    browser = present() or (install() if "--install" in sys.argv else None)
    if browser is None:
        sys.exit("no Chromium, and none can be had: install one, or point CHROMIUM at it")
    print(browser)
