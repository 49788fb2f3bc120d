"""What page tests share."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.runtime.pages_manager import PagesManager


@pytest.fixture(autouse=True)
def past_the_first_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest makes every run the first of a fresh server, where app/door.py reruns the script and a click would be lost.

    On a real server that happens once; the browser tests see to it.
    """
    begin = PagesManager.__init__

    def later(self: PagesManager, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", later)
