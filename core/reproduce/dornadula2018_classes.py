"""Tables 5 and 6 and figure 15 of Defendr (Dornadula et al. 2018): the ensemble of all three, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from core import domains
from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.proportion import Proportion
from core.reproduce.base import Cell, PaperTable, Row
from core.reproduce.defendr_table import WORST, DefendrTable
from core.reproduce.dornadula2018 import Table3

PUBLISHED = (
    f"{DefendrTable.published} The paper names neither the attack nor the system here; FGSM at ε 0.12 and the vote of all three "
    "are assumed."
)


class PerClass(Table3):
    """Tables 5 and 6: the classes that the ensemble of all three gets right most and least often.

    Attributes:
        best: whether it lists the best classes. classes: the published ones with their accuracy %.
    """

    published: ClassVar[str] = PUBLISHED
    best: ClassVar[bool]
    classes: ClassVar[Sequence[tuple[str, float]]]

    def rows(self, metrics: Metrics) -> list[Row]:
        titles = domains.get(metrics.plan.domain).classes
        number = self.names(metrics).index("HGD + ALP + CLP")
        shares = metrics.by_class(len(titles), CellKey(0, 0, number, "grey"))
        worst = metrics.by_class(len(titles), *self.known_keys(metrics, number, *WORST))
        counted = [n for n, share in enumerate(shares) if share.count]
        ranked = sorted(counted, key=lambda n: -shares[n].value if self.best else shares[n].value)[:10]
        return [
            Row(
                {"Rank": str(rank), "Class": titles[n], "Published class": theirs},
                {"accuracy": Cell(shares[n], value), "knows it, worst case": Cell(worst[n])},
            )
            for rank, (n, (theirs, value)) in enumerate(zip(ranked, self.classes, strict=False), 1)
        ]

    def conclusion(self, metrics: Metrics) -> str:
        return (
            "The paper's 201 classes are others: the table tells how unevenly the system does, not which classes are hard. "
            + worst_case_of_the_vote(self, metrics)
        )


class Table5(PerClass):
    name: ClassVar[str] = "defendr-table-5"
    title: ClassVar[str] = "Defendr, table 5: the best classes of HGD + ALP + CLP under FGSM at ε 0.12; accuracy"
    best: ClassVar[bool] = True
    classes: ClassVar[Sequence[tuple[str, float]]] = (
        *(("prairie chicken", 100.0), ("koala", 100.0), ("chambered nautilus", 100.0), ("goldfish", 100.0)),
        *(("Border terrier", 90.91), ("black widow", 90.91), ("European gallinule", 90.0), ("lorikeet", 90.0)),
        *(("bittern", 90.0), ("great grey owl", 90.0)),
    )


class Table6(PerClass):
    name: ClassVar[str] = "defendr-table-6"
    title: ClassVar[str] = "Defendr, table 6: the worst classes of HGD + ALP + CLP under FGSM at ε 0.12; accuracy"
    best: ClassVar[bool] = False
    classes: ClassVar[Sequence[tuple[str, float]]] = (
        *(("American pit bull terrier", 0.0), ("thunder snake", 0.0), ("Lakeland terrier", 0.0)),
        *(("Rhodesian ridgeback", 0.0), ("terrapin", 0.0), ("ruffed grouse", 0.0), ("alligator lizard", 0.0)),
        *(("water snake", 8.33), ("sea lion", 10.0), ("bulbul", 10.0)),
    )


class Figure15(Table3):
    published: ClassVar[str] = PUBLISHED
    name: ClassVar[str] = "defendr-figure-15"
    title: ClassVar[str] = (
        "Defendr, figure 15: HGD + ALP + CLP, the class of the clean image (rows) against that under FGSM at ε 0.12 (columns)"
    )

    def rows(self, metrics: Metrics) -> list[Row]:
        titles = domains.get(metrics.plan.domain).classes
        return [
            Row(
                {"Clean": titles[row]},
                {titles[column]: Cell(str(count)) for column, count in enumerate(counts)},
            )
            for row, counts in enumerate(self._confusion(metrics))
        ]

    def _confusion(self, metrics: Metrics) -> Any:
        number = self.names(metrics).index("HGD + ALP + CLP")
        classes = len(domains.get(metrics.plan.domain).classes)
        return metrics.confusion(CellKey(0, 0, number, "grey"), classes, against="clean")

    def conclusion(self, metrics: Metrics) -> str:
        counts = np.array(self._confusion(metrics))
        titles = domains.get(metrics.plan.domain).classes
        stayed = Proportion(int(np.trace(counts)), int(counts.sum()))
        np.fill_diagonal(counts, 0)
        row, column = np.unravel_index(int(counts.argmax()), counts.shape)
        count = int(counts[row, column])
        sentences = [f"{stayed} of the images keep their class."]
        if count:
            sentences.append(
                f"Most often {titles[row]} becomes {titles[column]} ({count} image{'' if count == 1 else 's'})."
            )
        return " ".join((*sentences, worst_case_of_the_vote(self, metrics)))


def worst_case_of_the_vote(table: Table3, metrics: Metrics) -> str:
    """How many images are right in the worst case.

    Those that keep their class would say less: the attack leaves an image alone that is wrong without it.
    """
    share = table.known(metrics, table.names(metrics).index("HGD + ALP + CLP"), *WORST)
    return f"In the worst case of an attacker who knows the vote {share} are right."


TABLES: tuple[PaperTable, ...] = (Table5(), Table6(), Figure15())
