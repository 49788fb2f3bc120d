"""Tables that count images batch by batch, where an evaluation plan does not say what is counted."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from core import domains
from core.evaluate.proportion import Proportion
from core.evaluate.tables import markdown
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.reproduce.base import Cell, MeasuredTable, PaperTable, Row, Settings, as_table

BATCH = 25
CountFunction = Callable[[Tensor, Tensor, torch.Generator], Mapping[str, Tensor]]
BatchCounts = dict[str, dict[str, int]]  # by the batch's number: images by column, under '' all of them


@dataclass(frozen=True)
class CountedRow:
    """One row and what it counts.

    Attributes:
        count: takes clean images N×C×H×W in [0, 1], labels N and a generator; returns which images count, bool N, by column.
        published: the paper's values in percent, by column.
    """

    name: str
    count: CountFunction
    published: Mapping[str, float] = field(default_factory=dict)


class CountTable(PaperTable):
    """A table from counts.

    The counts are written to a file after every batch, so a stopped run continues. A batch's random numbers depend on the seed alone,
    so the result is the same either way.
    """

    domain: ClassVar[str]
    classifier: ClassVar[str] = ""
    n_images: ClassVar[int] = 500

    @abstractmethod
    def counted_rows(self, classifier: Classifier, seed: int) -> list[CountedRow]:
        """The rows and what each counts."""

    def rows(self, counted_rows: list[CountedRow], totals: Mapping[str, Mapping[str, int]]) -> list[Row]:
        """The rows of the table.

        Args:
            totals: images that count, by the row's name and by column; under '' all images.
        """
        return [_row(row, totals[row.name]) for row in counted_rows]

    def measure(self, settings: Settings, on_progress: OnProgress | None = None) -> MeasuredTable | None:
        domain = domains.get(self.domain)
        missing = domain.missing_reason()
        if missing:
            raise InvalidInput(missing)
        n_images, seed = self.n_images if settings.n_images is None else settings.n_images, settings.seed
        images, labels = domain.sample(n_images, seed=seed)
        classifier = domain.classifier(self.classifier or None, settings.device)
        file = None if settings.folder is None else settings.folder / f"{self.name}-{n_images}-{seed}.json"
        counts = _read(file)
        counted_rows = self.counted_rows(classifier, seed)
        for index, row in enumerate(counted_rows):
            batches = counts.setdefault(row.name, {})
            for number, start in enumerate(range(0, n_images, BATCH)):
                done, total = index * n_images + start, len(counted_rows) * n_images
                if on_progress is not None and on_progress(Progress(row.name, done, total)):
                    return None
                if str(number) in batches:
                    continue
                generator = torch.Generator().manual_seed(seed)
                batch = slice(start, start + BATCH)
                x, y = images[batch].to(classifier.device), labels[batch].to(classifier.device)
                columns = {column: int(mask.sum()) for column, mask in row.count(x, y, generator).items()}
                batches[str(number)] = {**columns, "": len(y)}
                _write(file, counts)
        rows = self.rows(counted_rows, {row.name: _totals(counts[row.name]) for row in counted_rows})
        return MeasuredTable(as_table(rows), self.report(rows, n_images, seed), n_images)

    def report(self, rows: list[Row], n_images: int, seed: int) -> str:
        """The table as Markdown, below what it was measured on."""
        domain = domains.get(self.domain)
        classifier = domain.classifier_title(self.classifier or domain.classifier_names()[0])
        return (
            f"## {self.title}\n\n{n_images} test images of {domain.title}, seed {seed}, classifier {classifier} (white box, no defense), "
            f"after 8-bit rounding; 95 % intervals (Wilson).\nPublished: {self.published}\n\n{markdown(as_table(rows))}"
        )


def _totals(batches: BatchCounts) -> dict[str, int]:
    columns = next(iter(batches.values()))
    return {column: sum(batch[column] for batch in batches.values()) for column in columns}


def _row(row: CountedRow, totals: Mapping[str, int]) -> Row:
    cells = {
        column: Cell(Proportion(count, totals[""]), row.published.get(column))
        for column, count in totals.items()
        if column
    }
    return Row({"": row.name}, cells)


def _read(file: Path | None) -> dict[str, BatchCounts]:
    if file is None or not file.exists():
        return {}
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {str(row): {str(n): dict(batch) for n, batch in batches.items()} for row, batches in stored.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput(f"{file} is damaged; move it away to start again.") from error


def _write(file: Path | None, counts: Mapping[str, BatchCounts]) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(counts), encoding="utf-8")
    partial.replace(file)  # whole or not at all
