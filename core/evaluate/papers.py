"""The papers' own experiments on the pictures at hand, each by one command, the published numbers beside ours."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from core import domains
from core.evaluate.share import Share
from core.evaluate.tables import Row, markdown
from core.inputs import BadInput
from core.models.classifier import Classifier

BATCH = 25
Watch = Callable[[int, int, str], None]
Count = Callable[[Tensor, Tensor, torch.Generator], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Line:
    """One line of a table: its name, the published share or None, and what is counted on a batch.

    `count` takes clean pictures N×C×H×W, labels N and a generator of the seed and gives bool N by the column's name.
    """

    name: str
    published: float | None
    count: Count


class Reproduction(ABC):
    """An experiment: which pictures, which classifier, which lines; `run` gives the rows of its table.

    What was counted is written to a file after every batch, so that a run that was cut off goes on where it stopped. A batch's
    randomness comes from the seed and the batch's number, so that the numbers are the same either way.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    domain: ClassVar[str]
    classifier: ClassVar[str] = ""
    pictures: ClassVar[int] = 500
    published: ClassVar[str]  # what the published numbers were measured on, and what they count

    @abstractmethod
    def lines(self, classifier: Classifier, seed: int, watch: Watch | None) -> list[Line]:
        """The lines of the table."""

    def run(
        self,
        count: int | None = None,
        seed: int = 0,
        device: str | None = None,
        out: Path | None = None,
        watch: Watch | None = None,
    ) -> list[Row]:
        """Measure every line on `count` test pictures (the experiment's own number without it).

        Raises:
            BadInput: the data is not here; there are fewer pictures; the file in `out` is damaged.
        """
        domain = domains.get(self.domain)
        missing = domain.missing()
        if missing:
            raise BadInput(missing)
        count = self.pictures if count is None else count
        images, labels = domain.sample(count, seed=seed)
        classifier = domain.classifier(self.classifier or None, device)
        file = None if out is None else out / f"{self.name}-{count}-{seed}.json"
        counted = _read(file)
        lines = self.lines(classifier, seed, watch)
        starts = range(0, count, BATCH)
        for position, line in enumerate(lines):
            done = counted.setdefault(line.name, {})
            for number, start in enumerate(starts):
                if watch is not None:
                    watch(position * count + start, len(lines) * count, line.name)
                if str(number) in done:
                    continue
                generator = torch.Generator().manual_seed(seed)
                batch = slice(start, start + BATCH)
                x, y = images[batch].to(classifier.device), labels[batch].to(classifier.device)
                hits = line.count(x, y, generator)
                done[str(number)] = {**{name: int(bools.sum()) for name, bools in hits.items()}, "": len(y)}
                _write(file, counted)
        if watch is not None:
            watch(len(lines) * count, len(lines) * count, lines[-1].name)
        return self.rows(lines, {line.name: _totals(counted[line.name]) for line in lines})

    def rows(self, lines: list[Line], totals: Mapping[str, Mapping[str, int]]) -> list[Row]:
        """The table: a row a line, from how many pictures each column counted; under '' all of them."""
        return [_row(line, totals[line.name]) for line in lines]

    def report(self, rows: list[Row], count: int, seed: int) -> str:
        """The table as Markdown under a sentence that says on what it was measured."""
        card = domains.get(self.domain)
        which = card.classifier_title(self.classifier or card.classifier_names()[0])
        return (
            f"## {self.title}\n\n{count} test pictures of {card.title}, seed {seed}, classifier {which} (white box, no defense), "
            f"after 8-bit rounding; 95 % intervals (Wilson).\nPublished: {self.published}\n\n{markdown(rows)}"
        )


def _totals(counted: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    names = next(iter(counted.values()))
    return {name: sum(batch[name] for batch in counted.values()) for name in names}


def _row(line: Line, totals: Mapping[str, int]) -> Row:
    row: Row = {"": line.name}
    row |= {name: str(Share(hits, totals[""])) for name, hits in totals.items() if name}
    return {**row, "published": "" if line.published is None else f"{line.published:.1%}"}


def _read(file: Path | None) -> dict[str, dict[str, dict[str, int]]]:
    if file is None or not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(line): {str(n): dict(batch) for n, batch in done.items()} for line, done in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BadInput(f"{file} is damaged; move it away to begin anew.") from error


def _write(file: Path | None, counted: Mapping[str, object]) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(counted), encoding="utf-8")
    partial.replace(file)  # whole or not at all
