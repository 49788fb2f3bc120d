"""The Training page, its form and a run that stands there, for the tests of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from core.recipe import Recipe
from core.training import runs
from core.training.run_status import Status, write_status
from tests.core.training.tiny import plan, values
from tests.pages.visits import ROOT

MNIST = Recipe(domain="mnist").to_link()
TINY = json.dumps(values())


def arrive() -> AppTest:
    """A new user on the page, who does not wait for what the Start page computes."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.query_params["recipe"] = MNIST
    app.run()
    app.switch_page("pages/training.py").run()
    assert not app.exception, app.exception
    return app


def upload(app: AppTest, content: bytes, name: str = "plan.json") -> AppTest:
    """The page after that file was handed in as a plan."""
    app.segmented_control(key="tr_kind").set_value("own").run()
    app.file_uploader(key="tr_upload").upload(name, content).run()
    assert not app.exception, app.exception
    return app


def opened(**changes: Any) -> AppTest:
    """The page with the tiny plan in its form."""
    return upload(arrive(), plan(**changes).to_json().encode())


def field(app: AppTest, word: str) -> Any:
    """The control of the form whose key ends so."""
    controls = (*app.number_input, *app.text_input)
    return next(c for c in controls if str(c.key).startswith("tr_") and str(c.key).endswith(word))


def write_run(state: Status, name: str = "mnist_tiny", owner: str = "", **changes: Any) -> Path:
    """The folder of a run that stands there."""
    folder = runs.runs_folder() / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(plan(name=name, **changes).to_json())
    (folder / "owner").write_text(owner)
    write_status(folder, state)
    return folder


def sentences(app: AppTest) -> str:
    """All sentences of the page."""
    elements = (*app.error, *app.warning, *app.info, *app.caption, *app.markdown, *app.success)
    return "\n".join(str(element.value) for element in elements).replace("\\", "")
