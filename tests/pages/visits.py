"""Visiting a page without a browser."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


def visit(page: str = "", recipe: str = "") -> AppTest:
    """A new user on that page, once everything that runs by itself is done."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    if recipe:
        app.query_params["recipe"] = recipe
    app.run()
    if page:
        app.switch_page(f"pages/{page}.py").run()
    return settled(app)


def settled(app: AppTest) -> AppTest:
    """The page after its job has ended."""
    for _ in range(200):
        assert not app.exception, app.exception
        if "job" not in app.session_state:
            return app
        time.sleep(0.1)
        app.run()
    raise AssertionError("the job did not end")


def verdict(app: AppTest) -> str:
    """The largest line of the screen, as people read it."""
    return str(app.title[0].value).replace("\\", "").replace("\u00a0", " ")


def tiles(app: AppTest, label: str) -> list[dict[str, Any]]:
    """The images of the row with that label."""
    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json) if getattr(element.proto, "json", "") else {}
        if isinstance(data, dict) and data.get("label") == label:
            return list(data["items"])
    raise AssertionError(f"no row called {label!r}")


def attacker_of(app: AppTest) -> Any:
    """The list of what the attacker may know."""
    return next(choice for choice in app.selectbox if choice.label == "The attacker")
