"""A new attack and a new defense are one file: they reach the list, the command line, recipes and Guarded by themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import Recipe, attacks, defenses, run
from core.__main__ import main
from core.declaration import load_plugins

SOURCE = '''
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from core.attacks.base import Attack, Goal, Step
from core.declaration import Real, number
from core.defenses.base import Defense
from core.models.classifier import Classifier


class Darken(Attack):
    """Takes the same amount from every pixel."""

    name: ClassVar[str] = "darken"
    title: ClassVar[str] = "Darken"
    summary: ClassVar[str] = "Takes the same amount from every pixel."
    paper: ClassVar[str] = "Nobody 2026"

    amount: Real = number(0.5, 0, 1, help="How much is taken.", unit="/255")

    def iterate(
        self, classifier: Classifier, images: Tensor, labels: Tensor, goal: Goal, generator: torch.Generator
    ) -> Iterator[Step]:
        for number_, darker in enumerate((images, (images - self.amount).clamp(0, 1))):
            logits = classifier(darker)
            yield Step(number_, 1, darker, logits, -logits.gather(1, labels[:, None])[:, 0], goal.reached(logits, labels))


class Lighten(Defense):
    """Adds the same amount to every pixel."""

    name: ClassVar[str] = "lighten"
    title: ClassVar[str] = "Lighten"
    summary: ClassVar[str] = "Adds the same amount to every pixel."
    paper: ClassVar[str] = "Nobody 2026"

    amount: Real = number(0.5, 0, 1, help="How much is added.")

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
    assert outcome.columns[0].short == "Lighten"
