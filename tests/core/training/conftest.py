"""What tests of training share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.models.architectures import ARCHITECTURES
from core.plugins import load_plugins
from tests.core.training.tiny import PLUGIN

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The architecture of the tiny plan, here and in the environment of other processes."""
    entries = dict(ARCHITECTURES.entries)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tiny_network.py").write_text(PLUGIN)
    monkeypatch.setenv("MIRAGE_PLUGINS", str(tmp_path / "plugins"))
    load_plugins()
    yield {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ARCHITECTURES.entries.clear()
    ARCHITECTURES.entries.update(entries)
    sys.modules.pop("mirage_plugin_tiny_network", None)
    monkeypatch.undo()
    load_plugins()
