"""Tables 1 to 3 of Defendr (Dornadula et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from core.evaluate.metrics import Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE
from core.recipe.columns import ColumnSpec, Method, column_of
from core.reproduce.base import Cell, PaperTable, Row
from core.reproduce.defendr_table import RANDOMIZATION, WORST, DefendrTable, member


class Table1(DefendrTable):
    name: ClassVar[str] = "defendr-table-1"
    title: ClassVar[str] = "Defendr, table 1: FGSM at ε 0.12; accuracy by the share of adversarial images"
    numbers: ClassVar[Mapping[str, tuple[float, float | None, float]]] = {
        "baseline": (90.70, 78.46, 66.22),
        "baseline, adversarial training": (90.40, 80.70, 70.00),
        "CLP": (90.85, 78.66, 66.47),
        "ALP": (90.75, 80.65, 70.55),
        "HGD (DUNET)": (92.4, None, 86.6),
        "randomization": (85.92, 75.55, 65.82),
        "randomization, adversarial training": (85.47, 76.69, 68.01),
    }

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        return {
            "baseline, adversarial training": column_of((member(f"{self.plain}_robust"),)),
            "CLP": column_of((member(f"{self.plain}_clp"),)),
            "ALP": column_of((member(f"{self.plain}_alp"),)),
            "HGD (DUNET)": (self.hgd(domain),),
            "randomization": (RANDOMIZATION,),
            "randomization, adversarial training": column_of((member(f"{self.plain}_robust", RANDOMIZATION),)),
        }

    def attacks(self, domain: str) -> dict[str, Method]:
        """As in every table, then the data set's two other budgets."""
        return {**super().attacks(domain), **{f"FGSM {eps}": self.fgsm(domain, eps) for eps in (0.06, 0.3)}}

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        attacks = list(self.attacks(metrics.plan.domain))
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            clean, published = self.right(metrics, NO_ATTACK, number), self.numbers[name]
            cells = {"0 % adversarial": Cell(self.share(metrics, clean), published[0])}
            for eps in (0.12, 0.06, 0.3):
                attacked = self.right(metrics, attacks.index(f"FGSM {eps}"), number)
                every_second = np.where(np.arange(len(clean)) % 2 == 0, clean, attacked)
                where, values = ("", published[1:]) if eps == 0.12 else (f", ε {eps}", (None, None))
                for share, right, value in zip(("50 %", "100 %"), (every_second, attacked), values, strict=True):
                    cells[f"{share} adversarial{where}"] = Cell(self.share(metrics, right), value)
            cells["knows it, worst case"] = Cell(self.known(metrics, number, *WORST))
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        systems = list(enumerate(("baseline", *self.names(metrics)), NO_DEFENSE))
        grey = {name: self.share(metrics, self.right(metrics, 0, number)) for number, name in systems}
        trained, plain = grey["baseline, adversarial training"].value, grey["baseline"].value
        above = "above" if trained > plain else "not above"
        return (
            f"On adversarial images at ε 0.12 adversarial training is {above} none ({100 * trained:.1f} % and {100 * plain:.1f} %). "
            + self.order(grey, {name: self.known(metrics, number, *WORST) for number, name in systems})
        )


class Table2(DefendrTable):
    name: ClassVar[str] = "defendr-table-2"
    title: ClassVar[str] = "Defendr, table 2: attacks; accuracy on adversarial images"
    budgets: ClassVar[tuple[float, ...]] = (0.06, 0.12, 0.3)
    numbers: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "baseline": {"FGSM 0.12": 70.00, "FGSM 0.3": 47.81, "PGD 0.12": 80.00, "PGD 0.3": 63.88},
        "ALP": {"FGSM 0.12": 70.55, "FGSM 0.3": 48.91, "PGD 0.12": 80.95, "PGD 0.3": 62.64},
        "HGD (DUNET)": {"FGSM 0.12": 86.6, "FGSM 0.3": 72.5, "PGD 0.12": 85.8, "PGD 0.3": 79.0},
    }

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        return {"ALP": column_of((member(f"{self.plain}_alp"),)), "HGD (DUNET)": (self.hgd(domain),)}

    def attacks(self, domain: str) -> dict[str, Method]:
        return {
            **{f"FGSM {eps}": self.fgsm(domain, eps) for eps in self.budgets},
            **{f"PGD {eps}": self.pgd(domain, eps) for eps in self.budgets},
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            cells: dict[str, Cell] = {}
            for attack, title in enumerate(self.attacks(metrics.plan.domain)):
                right = self.right(metrics, attack, number)
                cells[title] = Cell(self.share(metrics, right), self.numbers[name].get(title))
                cells[f"{title}, knows it"] = Cell(self.known(metrics, number, title))
            for eps in self.budgets:
                worst = self.known(metrics, number, f"FGSM {eps}", f"PGD {eps}")
                cells[f"{eps}, knows it, worst case"] = Cell(worst)
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        attack = list(self.attacks(metrics.plan.domain)).index("PGD 0.12")
        grey, known = {}, {}
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            grey[name] = self.share(metrics, self.right(metrics, attack, number))
            known[name] = self.known(metrics, number, "PGD 0.12")
        return (
            "The published baseline is the one that was trained adversarially; here it is the plain classifier. The worst case is FGSM and "
            "PGD on the system itself. PGD 0.12: " + self.order(grey, known)
        )


class Table3(DefendrTable):
    name: ClassVar[str] = "defendr-table-3"
    title: ClassVar[str] = "Defendr, table 3: ensembles; accuracy under FGSM at ε 0.12"
    published: ClassVar[str] = f"{DefendrTable.published} The paper names no attack here; FGSM at ε 0.12 is assumed."
    numbers: ClassVar[Mapping[str, float]] = {
        "ALP + CLP": 66.22,
        "HGD + CLP": 77.71,
        "HGD + ALP": 77.71,
        "HGD + ALP + CLP": 84.86,
    }

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        denoised, alp, clp = member("", self.hgd(domain)), member(f"{self.plain}_alp"), member(f"{self.plain}_clp")
        return {
            "ALP + CLP": column_of((alp, clp)),
            "HGD + CLP": column_of((denoised, clp)),
            "HGD + ALP": column_of((denoised, alp)),
            "HGD + ALP + CLP": column_of((denoised, alp, clp)),
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            cells = {
                "no attack": Cell(self.share(metrics, self.right(metrics, NO_ATTACK, number))),
                "FGSM 0.12": Cell(self.share(metrics, self.right(metrics, 0, number)), self.numbers.get(name)),
                "knows it, worst case": Cell(self.known(metrics, number, *WORST)),
            }
            rows.append(Row({"Ensemble": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        systems = list(enumerate(self.names(metrics)))
        grey = {name: self.share(metrics, self.right(metrics, 0, number)) for number, name in systems}
        return (
            self.order(grey, {name: self.known(metrics, number, *WORST) for number, name in systems})
            + " Published first is HGD + ALP + CLP (84.9 %)."
        )


TABLES: tuple[PaperTable, ...] = (Table1(), Table2(), Table3())
