"""What page tests share."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.pages_manager import PagesManager

from app.components import image_row
from app.runtime import evaluation_jobs
from app.state import results
from core.evaluate import Plan, RunStore
from core.evaluate.running import evaluate
from tests.pages.evaluation import PLAN


@pytest.fixture(autouse=True)
def past_the_first_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest knows nothing of the switch in streamlit_app.py's last lines, which `streamlit run` throws; the browser tests do."""
    begin = PagesManager.__init__

    def later(self: PagesManager, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", later)


@pytest.fixture(autouse=True)
def images_in_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest throws the server's files away after each run; in a browser they are fetched."""

    def address(file: bytes, name: str, place: str) -> str:
        return "data:image/png;base64," + base64.b64encode(file).decode()

    monkeypatch.setattr(image_row, "_address", address)


@pytest.fixture(autouse=True)
def nobody_was_here_before() -> None:
    """Each test has a server of its own: nothing that another one computed."""
    results.shared_cache.clear()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for the runs; what a test has begun ends with it."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    yield tmp_path / "runs"
    for at in evaluation_jobs._evaluations().values():
        at.cancel.set()
        at.finished.wait(30)
    evaluation_jobs._evaluations().clear()


@pytest.fixture
def done(runs: Path) -> Plan:
    """The run of `PLAN`, from end to end."""
    with RunStore.create(PLAN, "cpu") as run:
        assert evaluate(run, device="cpu")
    return PLAN
