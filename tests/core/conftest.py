"""What tests of core share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.plugins import load_plugins, problems
from core.registry import Registry


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, ...]]]:
    """Loads plugins from files, given as path=source; what they register is taken out again."""
    before = [(registry, dict(registry.classes)) for registry in Registry.all]
    modules = set(sys.modules)

    def loaded(sources: dict[str, str | bytes], *more: str) -> tuple[str, ...]:
        folders: list[str] = []
        for name, source in sources.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.encode() if isinstance(source, str) else source)
            if str(file.parent) not in folders:
                folders.append(str(file.parent))
        monkeypatch.setenv("MIRAGE_PLUGINS", os.pathsep.join([*folders, *more]))
        load_plugins()
        return problems()

    yield loaded
    for registry, classes in before:
        registry.classes.clear()
        registry.classes.update(classes)
    for name in set(sys.modules) - modules:
        if name.startswith("mirage_plugin_"):
            del sys.modules[name]
    monkeypatch.undo()
    load_plugins()
