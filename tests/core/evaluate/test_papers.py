"""The papers' experiments: what they count, that they go on where they stopped, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from core import BadInput, domains
from core.__main__ import main
from core.evaluate import REPRODUCTIONS, Reproduction, papers
from core.evaluate.papers import Line, Watch
from core.models.classifier import Classifier


class Toy(Reproduction):
    """Counts bright pictures and a coin that the generator throws."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    domain: ClassVar[str] = "photos"
    classifier: ClassVar[str] = "photonet"
    published: ClassVar[str] = "nowhere"
    calls = 0

    def lines(self, classifier: Classifier, seed: int, watch: Watch | None) -> list[Line]:
        def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
            Toy.calls += 1
            return {
                "even": y % 2 == 0,
                "heads": torch.rand(len(y), generator=generator) < 0.5,
            }

        return [Line("all", 0.5, count)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers, "BATCH", 5)


def test_every_picture_is_counted_once_and_a_cut_run_goes_on(tmp_path: Path) -> None:
    count = 12
    _, labels = domains.get("photos").sample(count, seed=3)
    whole = Toy().run(count, 3, "cpu", tmp_path / "whole")
    assert whole[0]["even"].startswith(
        f"{float((labels % 2 == 0).float().mean()):.1%} ({int((labels % 2 == 0).sum())} of {count};"
    )  # type: ignore[attr-defined]

    class Cut(Exception):
        pass

    def cut(done: int, total: int, text: str) -> None:
        if done >= 10:
            raise Cut

    with pytest.raises(Cut):
        Toy().run(count, 3, "cpu", tmp_path / "cut", cut)
    before = Toy.calls
    assert Toy().run(count, 3, "cpu", tmp_path / "cut") == whole, "to the last digit"
    assert Toy.calls == before + 1, "only the batch that was missing"
    assert json.loads((tmp_path / "cut" / f"toy-{count}-3.json").read_text()) == json.loads(
        (tmp_path / "whole" / f"toy-{count}-3.json").read_text()
    )


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "toy-5-0.json").write_text("[1, 2")
    with pytest.raises(BadInput, match="damaged"):
        Toy().run(5, 0, "cpu", tmp_path)


def test_more_pictures_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ask for 1 to"):
        Toy().run(10**6, 0, "cpu", tmp_path)


@pytest.mark.data
def test_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REPRODUCTIONS, "toy", Toy())
    assert main(["evaluate", "toy", "--images", "7", "--device", "cpu", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert "Made by `python -m core evaluate toy --images 7 --seed 0` with torch" in text
    text = capsys.readouterr().out
    assert "7 test pictures of Photographs, seed 0, classifier PhotoNet" in text and "| all |" in text
    for ending in ("md", "csv", "tex"):
        assert (tmp_path / f"toy.{ending}").stat().st_size > 50


def test_without_the_data_there_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if domains.get("imagenette").missing() is None:
        pytest.skip("Imagenette is here")
    assert main(["evaluate", "lgs-table-1", "--out", str(tmp_path)]) == 2
    assert "Imagenette" in capsys.readouterr().err
