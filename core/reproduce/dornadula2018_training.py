"""Table 4 of Defendr (Dornadula et al. 2018): what was trained on one attack, tried on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import Plan
from core.evaluate.proportion import Proportion
from core.inputs import InvalidInput
from core.models.artifacts import find_artifact
from core.progress import OnProgress
from core.recipe.columns import ColumnSpec, Method, column_of
from core.reproduce.base import Cell, MeasuredTable, PaperTable, Row, Settings
from core.reproduce.defendr_table import DefendrTable, member
from core.reproduce.plan_table import measured_plans

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
    budgets: ClassVar[tuple[float, ...]] = (0.12, 0.3)

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
            for eps in self.budgets
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

    def known_plan(self, grey: Plan, eps: float) -> Plan:
        """FGSM and APGD at ε on the systems that were trained at it, by an attacker who knows each."""
        domain = grey.domain
        systems = [column for title, column in self.systems(domain).items() if _budget(title) == eps]
        fields = {
            **{"attacks": (self.fgsm(domain, eps), self.apgd(domain, eps)), "defenses": tuple(systems)},
            "attacker": "adaptive",
        }
        return grey.model_validate({**grey.model_dump(), **fields})

    def measure(self, settings: Settings, on_progress: OnProgress | None = None) -> MeasuredTable | None:
        grey_plan = self.plan(settings)
        known_plans = {f"adaptive_{eps}": self.known_plan(grey_plan, eps) for eps in self.budgets}
        with measured_plans({"": grey_plan, **known_plans}, settings, on_progress) as found:
            if found is None:
                return None
            grey, *adaptive = found
            worst = {
                title: self.right_in_all(metrics, [CellKey(0, attack, number, "adaptive") for attack in (0, 1)])
                for eps, metrics in zip(self.budgets, adaptive, strict=True)
                for number, title in enumerate(title for title in TRAINED_ON if _budget(title) == eps)
            }
            rows = [
                Row(row.labels, {**row.cells, "knows it, worst case": Cell(worst[row.labels["Trained"]])})
                for row in self.rows(grey)
            ]
            return self.finished(grey, rows, self.verdict(grey, worst))

    def rows(self, metrics: Metrics) -> list[Row]:
        """The rows without the attacker who knows the system."""
        rows = []
        for title, (_, published) in TRAINED_ON.items():
            cells = {
                word: Cell(self._grey(metrics, word, title), percent)
                for word, percent in zip(("FGSM", "PGD"), published, strict=True)
            }
            rows.append(Row({"Trained": title}, cells))
        return rows

    def verdict(self, grey: Metrics, worst: Mapping[str, Proportion]) -> str:
        """What was measured, and who is first with and without knowledge of the system."""
        titles = [title for title in TRAINED_ON if _budget(title) == 0.12]
        order = self.order(
            {title: self._grey(grey, "PGD", title) for title in titles}, {title: worst[title] for title in titles}
        )
        return (
            "Each row is tried at the ε that it was trained on. The attacks are crafted on the plain classifier; the worst case is "
            f"FGSM and APGD on the row's own system. PGD 0.12: {order}"
        )

    def _grey(self, metrics: Metrics, word: str, title: str) -> Proportion:
        attack = list(self.attacks(metrics.plan.domain)).index(f"{word} {_budget(title)}")
        return self.share(metrics, self.right(metrics, attack, list(TRAINED_ON).index(title)))


def _budget(title: str) -> float:
    """The ε that a row's network was trained at."""
    return float(title.rpartition(" ")[2])


def _is_there(name: str) -> bool:
    kind: Any = "denoiser" if name.startswith("hgd_") else "classifier"
    try:
        find_artifact(kind, name)
    except InvalidInput:
        return False
    return True


TABLES: tuple[PaperTable, ...] = (Table4(),)
