"""Tables that count: every image once, a stopped run continues, wrong input gets a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from core import InvalidInput, domains
from core.cli import main
from core.models.classifier import Classifier
from core.progress import Progress
from core.reproduce import TABLES, MeasuredTable, Settings, count_table
from core.reproduce.count_table import CountedRow, CountTable


class Toy(CountTable):
    """Counts even labels, and coins that the generator throws."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    domain: ClassVar[str] = "photos"
    classifier: ClassVar[str] = "photonet"
    published: ClassVar[str] = "nowhere"
    calls = 0

    def counted_rows(self, classifier: Classifier, seed: int) -> list[CountedRow]:
        def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
            Toy.calls += 1
            return {
                "even": y % 2 == 0,
                "heads": torch.rand(len(y), generator=generator) < 0.5,
            }

        return [CountedRow("all", count, {"even": 50.0})]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_table, "BATCH", 5)


def measure(n_images: int, seed: int, folder: Path) -> MeasuredTable:
    measured = Toy().measure(Settings(n_images=n_images, seed=seed, device="cpu", folder=folder))
    assert measured is not None
    return measured


def test_every_image_is_counted_once_and_a_stopped_run_continues(tmp_path: Path) -> None:
    n_images = 12
    _, labels = domains.get("photos").sample(n_images, seed=3)
    whole = measure(n_images, 3, tmp_path / "whole")
    even = labels % 2 == 0
    (row,) = whole.rows
    assert str(row["even"]).startswith(f"{100 * float(even.float().mean()):.1f} % ({int(even.sum())} of {n_images};")
    assert list(row) == ["", "even", "published", "heads"] and row["published"] == "50.0 %"

    def stop(progress: Progress) -> bool:
        return progress.done >= 10

    settings = Settings(n_images=n_images, seed=3, device="cpu", folder=tmp_path / "cut")
    assert Toy().measure(settings, stop) is None
    calls = Toy.calls
    assert Toy().measure(settings) == whole, "to the last digit"
    assert Toy.calls == calls + 1, "only the batch that was missing"
    assert json.loads((tmp_path / "cut" / f"toy-{n_images}-3.json").read_text()) == json.loads(
        (tmp_path / "whole" / f"toy-{n_images}-3.json").read_text()
    )


def test_a_damaged_file_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "toy-5-0.json").write_text("[1, 2")
    with pytest.raises(InvalidInput, match="damaged"):
        measure(5, 0, tmp_path)


def test_more_images_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ask for 1 to"):
        measure(10**6, 0, tmp_path)


@pytest.mark.data
def test_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, "toy", Toy())
    assert main(["evaluate", "toy", "--images", "7", "--device", "cpu", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert "Made by `python -m core evaluate toy --images 7 --seed 0` with torch" in text
    text = capsys.readouterr().out
    assert "7 test images of Photographs, seed 0, classifier PhotoNet" in text and "| all |" in text
    for ending in ("md", "csv", "tex"):
        assert (tmp_path / f"toy.{ending}").stat().st_size > 50


def test_without_the_data_there_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if domains.get("imagenette").missing_reason() is None:
        pytest.skip("Imagenette is here")
    assert main(["evaluate", "lgs-table-1", "--out", str(tmp_path)]) == 2
    assert "Imagenette" in capsys.readouterr().err
