"""Runs on disk that several files test."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.evaluate import store
from core.evaluate.running import evaluate
from core.evaluate.store import RunStore
from tests.core.evaluate.filled import fill
from tests.core.evaluate.stored_runs import COMPUTED, FILLED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs, empty."""
    monkeypatch.setenv("MIRAGE_DATA", str(tmp_path))
    store.folder().mkdir()
    return store.folder()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a whole run."""
    path = tmp_path_factory.mktemp("good") / "good.sqlite"
    fill(FILLED, path, target=3)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The plan run from end to end without a break."""
    run = RunStore.create(COMPUTED, "cpu", tmp_path_factory.mktemp("whole") / "whole.sqlite")
    assert evaluate(run, device="cpu")
    return run
