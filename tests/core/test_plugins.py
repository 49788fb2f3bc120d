"""A new attack and a new defense are one file: they reach the list, the command line, recipes and Guarded by themselves."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core import Recipe, attacks, defenses, run
from core.cli import main
from core.models.architectures import ARCHITECTURES
from core.plugins import load_plugins, problems

SOURCE = '''
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.base import Attack, Criterion, Step
from core.declaration import FractionFloat, number
from core.defenses.base import Defense
from core.models.classifier import Classifier


class Darken(Attack):
    """Takes the same amount from every pixel."""

    name: ClassVar[str] = "darken"
    title: ClassVar[str] = "Darken"
    summary: ClassVar[str] = "Takes the same amount from every pixel."
    paper: ClassVar[str] = "Nobody 2026"

    amount: FractionFloat = number(0.5, 0, 1, help="How much is taken.", unit="/255")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Criterion, generator: torch.Generator
    ) -> Iterator[Step]:
        for number_, darker in enumerate((images, (images - self.amount).clamp(0, 1))):
            logits = classifier(darker)
            yield Step(number_, 1, darker, logits, -logits.gather(1, labels[:, None])[:, 0], goal.satisfied(logits, labels))


class Lighten(Defense):
    """Adds the same amount to every pixel."""

    name: ClassVar[str] = "lighten"
    title: ClassVar[str] = "Lighten"
    summary: ClassVar[str] = "Adds the same amount to every pixel."
    paper: ClassVar[str] = "Nobody 2026"

    amount: FractionFloat = number(0.5, 0, 1, help="How much is added.")

    def apply(self, images: Tensor) -> Tensor:
        return (images + self.amount).clamp(0, 1)
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "darken_lighten.py").write_text(SOURCE)
    monkeypatch.setenv("MIRAGE_PLUGINS", str(tmp_path))
    load_plugins()
    yield
    del attacks.REGISTRY.classes["darken"], defenses.REGISTRY.classes["lighten"]
    del sys.modules["mirage_plugin_darken_lighten"]


@pytest.mark.usefixtures("plugins")
def test_one_file_is_enough_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "darken" in text and "lighten" in text and "How much is taken." in text
    words = "attack cat --attack darken --amount 51/255 --defense lighten:amount=0.1 --device cpu --out"
    assert main([*words.split(), str(tmp_path / "out")]) == 0
    recipe = Recipe.from_json((tmp_path / "out" / "recipe.json").read_text())
    outcome = run(Recipe.from_link(recipe.to_link()), device="cpu")
    wanted = np.clip(outcome.clean.astype(int) - 51, 0, 255)
    assert np.abs(outcome.attacked.adversarial.astype(int) - wanted).max() <= 1
    assert outcome.columns[0].short_title == "Lighten"


DEFENSE = '''
from typing import ClassVar

from torch import Tensor

from core.defenses.base import Defense


class Nothing(Defense):
    """Leaves the images as they are."""

    name: ClassVar[str] = "NAME"
    title: ClassVar[str] = "TITLE"
    summary: ClassVar[str] = "Leaves the images as they are."
    paper: ClassVar[str] = ""

    def apply(self, images: Tensor) -> Tensor:
        return images
'''


def defense(name: str, title: str = "Nothing") -> str:
    return DEFENSE.replace("NAME", name).replace("TITLE", title)


BROKEN = {
    "import a_module_that_is_not_installed": "No module named 'a_module_that_is_not_installed'",
    "def broken(:": "SyntaxError",
    "raise SystemExit(3)": "SystemExit: 3",
    "from core.models.architectures import ARCHITECTURES as a\na.register('x')(print)\n1 / 0": "ZeroDivisionError",
    "from core.models.architectures import ARCHITECTURES as a\na.register('vgg')(print)": "called 'vgg' already",
    "1 / 0": r"ZeroDivisionError: division by zero \(line 1\)",
    "b = b'\\xff'\n\xff".encode("latin-1"): "SyntaxError|UnicodeDecodeError",
    "\0": "SyntaxError|ValueError",
    "from core.attacks import NotThere": "ImportError: cannot import name 'NotThere'",
    DEFENSE.replace('    title: ClassVar[str] = "TITLE"\n', "").replace("NAME", "x"): "Nothing has no title",
    DEFENSE.replace("def apply", "def aply").replace("NAME", "x"): "Nothing does not define apply",
    defense("a b"): "is named 'a b'; a name has 1 to 40 letters",
    defense("x") + "    strength: int\n": "Nothing has no line of help|strength",
    defense("jpeg"): r"JPEG is the defense called 'jpeg' already; choose another name",
    defense("x") + defense("lgs"): "is the defense called 'lgs' already",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_plugin_is_left_out_whole_and_reported(load: Callable[..., tuple[str, ...]], source: str) -> None:
    attacks_before, defenses_before = dict(attacks.REGISTRY.classes), dict(defenses.REGISTRY.classes)
    architectures_before = dict(ARCHITECTURES.entries)
    told = load({"broken.py": source, "good.py": defense("works")})
    assert len(told) == 1 and "broken.py is left out: " in told[0] and told[0].endswith(".")
    assert re.search(BROKEN[source], told[0]), told
    assert attacks.REGISTRY.classes == attacks_before and ARCHITECTURES.entries == architectures_before
    assert set(defenses.REGISTRY.classes) == {*defenses_before, "works"}, "the good one works"
    assert all(defenses.REGISTRY.classes[name] is cls for name, cls in defenses_before.items())


def test_two_folders_with_a_file_of_the_same_name(load: Callable[..., tuple[str, ...]]) -> None:
    assert load({"a/mine.py": defense("first"), "b/mine.py": defense("second")}) == ()
    assert {"first", "second"} <= set(defenses.names())
    load_plugins()  # once more changes nothing
    assert problems() == () and defenses.get("first").__module__ != defenses.get("second").__module__


def test_the_second_of_two_plugins_of_one_name_is_refused(load: Callable[..., tuple[str, ...]]) -> None:
    (told,) = load({"a/mine.py": defense("same", "First"), "b/mine.py": defense("same", "Second")})
    assert "First is the defense called 'same' already" in told and defenses.get("same").title == "First"


def test_a_missing_folder_and_what_is_no_file(load: Callable[..., tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "a" / "folder.py").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.py")
    told = load({"a/good.py": defense("works"), "a/._good.py": b"\0\5\x16\7"}, str(tmp_path / "none"), "~nobody/x")
    assert len(told) == 5 and "works" in defenses.names()
    for words in (
        "folder.py is left out: it is no regular file",
        "gone.py is left out: no such file",
        "pipe.py is left",
    ):
        assert any(words in sentence for sentence in told), told
    assert any(sentence.endswith("none cannot be read: no such file or directory.") for sentence in told)


def test_the_command_line_warns_and_works(
    load: Callable[..., tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    load({"broken.py": "import a_module_that_is_not_installed"})
    assert main(["list"]) == 0
    written = capsys.readouterr()
    assert "pgd" in written.out and written.err.startswith("mirage: warning: The plugin ")
    assert written.err.count("warning") == 1 and "Traceback" not in written.err


def test_a_class_may_be_defined_anew_as_in_a_notebook(load: Callable[..., tuple[str, ...]]) -> None:
    for title in ("First", "Second"):
        exec(compile(defense("again", title), "cell", "exec"), {"__name__": "__main__"})
    assert defenses.get("again").title == "Second"
