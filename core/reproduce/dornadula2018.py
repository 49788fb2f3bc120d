"""Tables 1 to 4 of Defendr (Dornadula et al. 2018); tables 5 and 6 and figure 15 are in `dornadula2018_classes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE
from core.inputs import InvalidInput
from core.models.artifacts import find_artifact
from core.recipe.columns import ColumnSpec, Method, column_of
from core.reproduce.base import Cell, PaperTable, Row
from core.reproduce.defendr_table import RANDOMIZATION, DefendrTable, member


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
            cells["knows it, worst case"] = Cell(self.worst(metrics, number))
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        systems = list(enumerate(("baseline", *self.names(metrics)), NO_DEFENSE))
        grey = {name: self.share(metrics, self.right(metrics, 0, number)) for number, name in systems}
        trained, plain = grey["baseline, adversarial training"].value, grey["baseline"].value
        above = "above" if trained > plain else "not above"
        return (
            f"On adversarial images adversarial training is {above} none ({100 * trained:.1f} % and {100 * plain:.1f} %). "
            + self.order(grey, {name: self.worst(metrics, number) for number, name in systems})
        )


class Table2(DefendrTable):
    name: ClassVar[str] = "defendr-table-2"
    title: ClassVar[str] = "Defendr, table 2: attacks; accuracy on adversarial images"
    numbers: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "baseline": {"FGSM 0.12": 70.00, "FGSM 0.3": 47.81, "PGD 0.12": 80.00, "PGD 0.3": 63.88},
        "ALP": {"FGSM 0.12": 70.55, "FGSM 0.3": 48.91, "PGD 0.12": 80.95, "PGD 0.3": 62.64},
        "HGD (DUNET)": {"FGSM 0.12": 86.6, "FGSM 0.3": 72.5, "PGD 0.12": 85.8, "PGD 0.3": 79.0},
    }

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        return {"ALP": column_of((member(f"{self.plain}_alp"),)), "HGD (DUNET)": (self.hgd(domain),)}

    def attacks(self, domain: str) -> dict[str, Method]:
        return {
            **{f"FGSM {eps}": self.fgsm(domain, eps) for eps in (0.06, 0.12, 0.3)},
            **{f"PGD {eps}": self.pgd(domain, eps) for eps in (0.06, 0.12, 0.3)},
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            cells: dict[str, Cell] = {}
            for attack, title in enumerate(self.attacks(metrics.plan.domain)):
                right = self.right(metrics, attack, number)
                cells[title] = Cell(self.share(metrics, right), self.numbers[name].get(title))
                known: Any = "none" if number == NO_DEFENSE else "adaptive"
                adaptive = metrics.is_correct(CellKey(0, attack, number, known))
                cells[f"{title}, knows it"] = Cell(self.share(metrics, adaptive))
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        attack = list(self.attacks(metrics.plan.domain)).index("PGD 0.12")
        grey, known = {}, {}
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            attacker: Any = "none" if number == NO_DEFENSE else "adaptive"
            grey[name] = self.share(metrics, self.right(metrics, attack, number))
            known[name] = self.share(metrics, metrics.is_correct(CellKey(0, attack, number, attacker)))
        return (
            "The published baseline is the one that was trained adversarially; here it is the plain classifier. PGD 0.12: "
            + self.order(grey, known)
        )


class Table3(DefendrTable):
    name: ClassVar[str] = "defendr-table-3"
    title: ClassVar[str] = "Defendr, table 3: ensembles; accuracy under FGSM at ε 0.12"
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
                "knows it, worst case": Cell(self.worst(metrics, number)),
            }
            rows.append(Row({"Ensemble": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        systems = list(enumerate(self.names(metrics)))
        grey = {name: self.share(metrics, self.right(metrics, 0, number)) for number, name in systems}
        return (
            self.order(grey, {name: self.worst(metrics, number) for number, name in systems})
            + " Published first is HGD + ALP + CLP (84.9 %)."
        )


# Table 4, by its rows: what was trained, on which attack; accuracy % under FGSM and under PGD.
TRAINED_ON: Mapping[str, tuple[str, tuple[float, float]]] = {
    "adversarial training, FGSM 0.12": ("robust_fgsm_12", (71.0, 80.0)),
    "adversarial training, PGD 0.12": ("robust_pgd_12", (69.35, 81.0)),
    "ALP, FGSM 0.12": ("alp_fgsm_12", (69.55, 79.40)),
    "HGD, FGSM 0.12": ("hgd_fgsm_12", (86.6, 82.9)),
    "HGD, FGSM 0.3": ("hgd_fgsm_30", (72.5, 68.0)),
    "HGD, PGD 0.12": ("hgd_pgd_12", (70.9, 85.8)),
    "HGD, PGD 0.3": ("hgd_pgd_30", (49.7, 79.0)),
}


class Table4(DefendrTable):
    name: ClassVar[str] = "defendr-table-4"
    title: ClassVar[str] = "Defendr, table 4: trained on one attack, tried on another; accuracy"

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        columns: dict[str, ColumnSpec] = {}
        for title, (name, _) in TRAINED_ON.items():
            kind, _, rest = name.partition("_")
            if kind == "hgd":
                columns[title] = (Method(name="hgd", params={"weights": f"{domain}_{self.plain}_{rest}"}),)
            else:
                columns[title] = column_of((member(f"{self.plain}_{name}"),))
        return columns

    def attacks(self, domain: str) -> dict[str, Method]:
        return {
            f"{word} {eps}": make(domain, eps)
            for eps in (0.12, 0.3)
            for word, make in (("FGSM", self.fgsm), ("PGD", self.pgd))
        }

    def plan_fields(self, domain: str) -> dict[str, Any]:
        missing = [name for name in self.plans(domain) if not _is_there(name)]
        if domain in self.measured_on and missing:
            raise InvalidInput(
                f"{self.name} needs networks that do not ship. Train them first: "
                + "; ".join(f"python -m core train {name}" for name in missing)
                + "."
            )
        return {**super().plan_fields(domain), "attacker": "grey"}

    def plans(self, domain: str) -> list[str]:
        """The plans of the networks that the table compares."""
        return [
            f"hgd_{domain}_{self.plain}_{name.removeprefix('hgd_')}"
            if name.startswith("hgd")
            else f"{domain}_{self.plain}_{name}"
            for name, _ in TRAINED_ON.values()
        ]

    def rows(self, metrics: Metrics) -> list[Row]:
        attacks = list(self.attacks(metrics.plan.domain))
        rows = []
        for number, (title, (_, published)) in enumerate(TRAINED_ON.items()):
            size = title.rpartition(" ")[2]  # as the paper: under the budget that it was trained on
            cells = {
                word: Cell(
                    self.share(metrics, self.right(metrics, attacks.index(f"{word} {size}"), number)), published[column]
                )
                for column, word in enumerate(("FGSM", "PGD"))
            }
            rows.append(Row({"Trained": title}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        return "Each row is tried at the ε that it was trained on. The attacks are crafted on the plain classifier."


def _is_there(name: str) -> bool:
    kind: Any = "denoiser" if name.startswith("hgd_") else "classifier"
    try:
        find_artifact(kind, name)
    except InvalidInput:
        return False
    return True


TABLES: tuple[PaperTable, ...] = (Table1(), Table2(), Table3(), Table4())
