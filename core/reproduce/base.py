"""A paper's table: rows with what is measured here beside what was published, as Markdown, CSV and LaTeX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.evaluate import tables
from core.evaluate.proportion import Proportion
from core.progress import OnProgress


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        measured: the value here.
        published: the paper's value in percent; None where it has none.
    """

    measured: Proportion | float | str
    published: float | None = None


@dataclass(frozen=True)
class Row:
    """One row of a paper's table: labels that name it, then a cell for each column."""

    labels: Mapping[str, str]
    cells: Mapping[str, Cell]


def as_table(rows: Sequence[Row]) -> list[tables.Row]:
    """The rows with their published values beside, for `tables.markdown`, `tables.csv` and `tables.latex`.

    The published values stand behind their column: under *published* where one column has any, else under *COLUMN, published*.
    """
    with_published = {column for row in rows for column, cell in row.cells.items() if cell.published is not None}
    table: list[tables.Row] = []
    for row in rows:
        line: tables.Row = dict(row.labels)
        for column, cell in row.cells.items():
            line[column] = str(cell.measured) if isinstance(cell.measured, Proportion) else cell.measured
            if column in with_published:
                heading = "published" if len(with_published) == 1 else f"{column}, published"
                line[heading] = "" if cell.published is None else f"{_as_published(cell.published)} %"
        table.append(line)
    return table


def _as_published(percent: float) -> str:
    """With the paper's decimals: one, or two where the second is not 0."""
    return f"{percent:.2f}".removesuffix("0")


@dataclass(frozen=True)
class Settings:
    """How a paper's table is measured.

    Attributes:
        n_images: how many images; None for the table's own number.
        seed: which images are sampled, and all other random numbers.
        domain, classifier: by name; '' for the table's own.
        device: as in `core.device.pick`; None for the fastest.
        folder: where a table that counts keeps its counts; None keeps none.
        store: the file of the evaluation run; None for the one in MIRAGE_DATA/runs.
        ray: the address of a Ray cluster, 'local' for one on this machine, '' for none. workers: of a local one.
    """

    n_images: int | None = None
    seed: int = 0
    domain: str = ""
    classifier: str = ""
    device: str | None = None
    folder: Path | None = None
    store: Path | None = None
    ray: str = ""
    workers: int | None = None


@dataclass(frozen=True)
class MeasuredTable:
    """A table that was measured.

    Attributes:
        rows: as `tables` takes them. report: Markdown. n_images: on how many images it was measured.
        run_file: the file of the evaluation run; None where the table has no run.
    """

    rows: list[tables.Row]
    report: str
    n_images: int
    run_file: Path | None = None


class PaperTable(ABC):
    """One table or figure of a paper.

    Attributes:
        name: on the command line. title: the paper, the table and what it counts.
        n_images: how many images it is measured on unless `Settings` says otherwise.
        published: what the published numbers were measured on.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    n_images: ClassVar[int]
    published: ClassVar[str]

    @abstractmethod
    def measure(self, settings: Settings, on_progress: OnProgress | None = None) -> MeasuredTable | None:
        """Measure the table; a table that was stopped continues where it stopped.

        Returns:
            The table; None where `on_progress` stopped it.

        Raises:
            InvalidInput: the data are not on this machine, there are fewer images, or a file of an earlier run is damaged.
        """
