"""Imports point down only, and no module needs itself: the rules of the layout."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("core", "app", "pages")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
FORBIDDEN = {
    "core": ("app", "pages", "streamlit", "plotly"),
    "app": ("pages", "matplotlib"),
    "pages": ("matplotlib", "torch", "argparse", "threading", "concurrent", "core.threads"),
}
# Inside core, from the bottom up: a package may import those before it, and itself.
LAYERS = (
    ("core.models",),
    ("core.defenses", "core.domains"),
    ("core.systems",),
    ("core.attacks", "core.explain"),
    ("core.detectors", "core.certify"),
    ("core.recipe",),
    ("core.analysis", "core.evaluate", "core.training"),
    ("core.reproduce", "core.figures"),
    ("core.cli",),
)


def imported(path: Path, *, when_loaded: bool = False) -> Iterator[str]:
    """The modules that a file imports; with `when_loaded`, only those that loading it imports."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                names = (f"{child.module}.{alias.name}" for alias in child.names)
                yield from (name if name in FILES else child.module for name in names)
            elif not typing and not (when_loaded and later):
                yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_imports_point_down() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in FILES.items()
        for name in imported(path)
        for upper in FORBIDDEN[module.split(".")[0]]
        if within(name, upper)
    ]
    assert not wrong


def test_the_layers_of_core_point_down() -> None:
    rank = {package: number for number, packages in enumerate(LAYERS) for package in packages}

    def level(name: str) -> int | None:
        return next((number for package, number in rank.items() if within(name, package)), None)

    wrong = []
    for module, path in FILES.items():
        mine = level(module)
        for name in imported(path, when_loaded=True):
            other = level(name)
            if mine is not None and other is not None and other > mine:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_no_module_needs_itself() -> None:
    needs = {
        module: {name for name in imported(path, when_loaded=True) if name in FILES} for module, path in FILES.items()
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module)) if module in way else ""
        if module in done:
            return
        for name in needs[module] - {module}:
            visit(name, (*way, module))
        done.add(module)

    for module in needs:
        visit(module, ())


@pytest.mark.parametrize("word", ["import torch", "from threading import Thread"])
def test_the_rules_see_what_they_forbid(word: str, tmp_path: Path) -> None:
    path = tmp_path / "page.py"
    path.write_text(f"def late():\n    {word}\n", encoding="utf-8")
    assert any(within(name, upper) for name in imported(path) for upper in FORBIDDEN["pages"])
    assert not list(imported(path, when_loaded=True))
