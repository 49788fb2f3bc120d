"""Tables 1 to 3 and figure 3 of Local Gradients Smoothing (Naseer et al. 2019)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE
from core.evaluate.proportion import Proportion
from core.inputs import InvalidInput
from core.recipe.columns import Chain, Method
from core.reproduce.base import Cell, Row
from core.reproduce.plan_table import PlanTable

# Accuracy % of Inception v3 on ImageNet's validation set: no attack, 42, 52 and 60 of 299 pixels (table 1).
TABLE_1: dict[str, tuple[Chain, tuple[float, float, float, float]]] = {
    **{
        f"LGS λ {strength}": ((Method(name="lgs", params={"lambda": strength}),), published)
        for strength, published in (
            (2.3, (71.05, 70.90, 69.84, 69.37)),
            (2.1, (71.50, 70.80, 69.54, 68.56)),
            (1.9, (71.84, 70.40, 68.84, 66.98)),
            (1.7, (72.30, 69.55, 67.32, 63.38)),
            (1.5, (72.72, 67.68, 64.13, 55.67)),
        )
    },
    "median 3": ((Method(name="median", params={"window": 3}),), (70.59, 63.90, 62.15, 59.81)),
    "Gaussian 5": ((Method(name="gaussian", params={"window": 5}),), (61.75, 59.52, 57.68, 55.29)),
    "bilateral 5": ((Method(name="bilateral", params={"window": 5}),), (65.70, 61.53, 58.70, 55.59)),
    **{
        f"JPEG {quality}": ((Method(name="jpeg", params={"quality": quality}),), published)
        for quality, published in (
            (80, (74.35, 18.14, 6.23, 2.06)),
            (60, (72.71, 25.69, 11.86, 4.85)),
            (40, (71.20, 37.10, 23.26, 12.73)),
            (30, (70.04, 45.00, 33.72, 22.04)),
            (20, (67.51, 52.84, 46.25, 37.19)),
            (10, (60.25, 53.10, 48.73, 43.59)),
        )
    },
    **{
        f"TVM {weight}": ((Method(name="tvm", params={"weight": weight}),), published)
        for weight, published in (
            (10, (70.21, 14.48, 4.64, 1.73)),
            (20, (72.85, 13.24, 3.78, 1.17)),
            (30, (73.85, 12.79, 3.53, 1.04)),
        )
    },
    **{
        f"bits {bits}": ((Method(name="bitdepth", params={"bits": bits}),), published)
        for bits, published in (
            (1, (39.85, 25.93, 15.14, 9.73)),
            (2, (64.61, 16.32, 6.15, 2.68)),
            (3, (72.83, 13.4, 3.89, 1.25)),
        )
    },
}
NO_DEFENSE_1 = (75.61, 11.00, 2.79, 0.78)
AREAS = (0.02, 0.03, 0.04)
# The five defenses of tables 2 and 3. Published: accuracy % in table 2, attack success % in table 3.
COMPARED = ("LGS λ 2.3", "median 3", "JPEG 30", "TVM 10", "bits 3")
TABLE_2 = dict(zip(COMPARED, (90.5, 49.1, 45.0, 1.0, 0.0), strict=True))
TABLE_3 = dict(zip(COMPARED, (18.0, 75.0, 73.3, 78.1, 83.0), strict=True))
TARGETS = {"imagenet": "toaster", "imagenette": "parachute"}
MIN_CONFIDENCE = 0.9  # an image counts in table 2 when the patch makes it the target with this confidence
CONFIDENT = f"right, at {100 * MIN_CONFIDENCE:.0f} % or more"


class Table1(PlanTable):
    name: ClassVar[str] = "lgs-table-1"
    title: ClassVar[str] = "LGS, table 1: LaVAN along the border, random targets; accuracy"
    n_images: ClassVar[int] = 200
    published: ClassVar[str] = "Inception v3 on ImageNet's validation set, patches of 42, 52 and 60 of 299 pixels."

    def plan_fields(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": tuple(Method(name="lavan", params={"area": area, "steps": 1000}) for area in AREAS),
            "defenses": tuple(column for column, _ in TABLE_1.values()),
            "attacker": "grey",
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        heads = ("no attack", *(f"{100 * area:.0f} %" for area in AREAS))
        rows: list[Row] = []
        for number, (title, published) in enumerate(
            [("no defense", NO_DEFENSE_1), *((title, values) for title, (_, values) in TABLE_1.items())], NO_DEFENSE
        ):
            cells = {
                head: Cell(_accuracy(metrics, attack, number), value)
                for head, attack, value in zip(heads, (NO_ATTACK, 0, 1, 2), published, strict=True)
            }
            rows.append(Row({"Defense": title}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        plan, parts = metrics.plan, []
        lgs, others = range(5), range(5, len(plan.defenses))
        for attack, area in enumerate(AREAS):
            accuracies = {n: _accuracy(metrics, attack, n) for n in range(len(plan.defenses))}
            best, rival = max(lgs, key=lambda n: accuracies[n].value), max(others, key=lambda n: accuracies[n].value)
            word = "first" if accuracies[best].value >= accuracies[rival].value else "not first"
            parts.append(
                f"{100 * area:.0f} %: LGS is {word} ({_titled(best)} {100 * accuracies[best].value:.1f} %; the best of the others is "
                f"{_titled(rival)}, {100 * accuracies[rival].value:.1f} %"
                f"{'; the intervals overlap' if accuracies[best].overlaps(accuracies[rival]) else ''})."
            )
        clean = _accuracy(metrics, NO_ATTACK, NO_DEFENSE).value
        costs = []
        for number in (0, 4):
            cost = clean - _accuracy(metrics, NO_ATTACK, number).value
            costs.append(
                f"{_titled(number)} costs {100 * cost:.1f} points ({'within' if cost <= 0.06 else 'more than'} 6)"
            )
        return " ".join(parts) + f" Without an attack {' and '.join(costs)}."


class Table2(PlanTable):
    name: ClassVar[str] = "lgs-table-2"
    title: ClassVar[str] = "LGS, table 2: one universal patch of 10 %; accuracy on the images it turned into its target"
    n_images: ClassVar[int] = 1000
    published: ClassVar[str] = (
        "Inception v3 on 1,000 ImageNet images that a 95-pixel patch had made 'toaster' at 90 % or more."
    )

    def plan_fields(self, domain: str) -> dict[str, Any]:
        if domain not in TARGETS:
            raise InvalidInput(f"{self.name} needs a target; it has one on {' and '.join(TARGETS)}.")
        return {
            "attacks": (Method(name="universal_patch", params={"area": 0.1, "steps": 1000}),),
            "target": TARGETS[domain],
            "defenses": tuple(TABLE_1[title][0] for title in COMPARED),
            "attacker": "grey",
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        under = metrics.cell(CellKey(0, 0, NO_DEFENSE, "none"))
        target = int(under.targets.max(initial=0))
        became = (under.predicted == target) & (metrics.labels != target)
        groups = (became, became & (under.confidence >= MIN_CONFIDENCE))
        rows: list[Row] = []
        for number, title in enumerate(("no defense", *COMPARED), NO_DEFENSE):
            right = metrics.is_correct(CellKey(0, 0, number, "grey" if number != NO_DEFENSE else "none"))
            everyone, confident = (Proportion(int((right & group).sum()), int(group.sum())) for group in groups)
            cells = {"right": Cell(everyone), CONFIDENT: Cell(confident, TABLE_2.get(title, 0.0))}
            rows.append(Row({"Defense": title}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        right = _values(self.rows(metrics), "right")
        ranked = sorted(right, key=lambda title: -right[title])
        return (
            f"In this order: {', '.join(ranked)}. 'right' counts all images that became the target; the paper only took those at "
            "90 % or more."
        )


class Table3(PlanTable):
    name: ClassVar[str] = "lgs-table-3"
    title: ClassVar[str] = "LGS, table 3: LaVAN with BPDA, 2 % of the area; attack success"
    n_images: ClassVar[int] = 200
    published: ClassVar[str] = (
        "Inception v3, 1,000 ImageNet images, 42 of 299 pixels; the same target, key and number of iterations for every defense."
    )

    def plan_fields(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": (Method(name="lavan", params={"area": AREAS[0], "steps": 1000}),),
            "defenses": tuple(TABLE_1[title][0] for title in COMPARED),
            "attacker": "adaptive",
            "backward": "identity",
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        cell_keys = [
            CellKey(0, 0, n, "none" if n == NO_DEFENSE else "adaptive") for n in range(NO_DEFENSE, len(COMPARED))
        ]
        # While it grows, only those images count that every defense has been attacked on.
        common = np.logical_and.reduce([metrics.cell(key).evaluated for key in cell_keys])
        rows: list[Row] = []
        for title, key in zip(("no defense", *COMPARED), cell_keys, strict=True):
            count = int(common.sum())
            target = Proportion(int((metrics.attack_succeeded(key) & common).sum()), count)
            wrong = Proportion(int((~metrics.is_correct(key) & common).sum()), count)
            cells = {"becomes the target": Cell(target, TABLE_3.get(title, 88.0)), "any wrong class": Cell(wrong)}
            rows.append(Row({"Defense": title}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        success = _values(self.rows(metrics)[1:], "becomes the target")
        if not success:
            return "No image was attacked behind every defense yet."
        return f"From the lowest: {', '.join(sorted(success, key=lambda title: success[title]))}."


class Figure3(PlanTable):
    name: ClassVar[str] = "lgs-figure-3"
    title: ClassVar[str] = "LGS, figure 3: what each defense takes"
    n_images: ClassVar[int] = 200
    published: ClassVar[str] = (
        "a chart in a logarithmic scale without numbers in the text: 50,000 images on an i7-7700k."
    )

    def plan_fields(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": (),
            "defenses": tuple(TABLE_1[title][0] for title in (*COMPARED, "Gaussian 5", "bilateral 5")),
            "attacker": "grey",
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        titles = (*COMPARED, "Gaussian 5", "bilateral 5")
        seconds = {title: metrics.seconds(number) for number, title in enumerate(titles)}
        return [
            Row(
                {"Defense": title},
                {
                    "ms per image": Cell(round(1000 * seconds[title], 3)),
                    "50,000 images, s": Cell(round(50_000 * seconds[title]) if np.isfinite(seconds[title]) else "–"),
                },
            )
            for title in sorted(titles, key=lambda t: seconds[t])
        ]


def _accuracy(metrics: Metrics, attack: int, defense: int) -> Proportion:
    attacker = "none" if attack == NO_ATTACK or defense == NO_DEFENSE else "grey"
    accuracy = metrics.proportion(CellKey(0, attack, defense, attacker))  # type: ignore[arg-type]
    assert accuracy is not None
    return accuracy


def _values(rows: list[Row], column: str) -> dict[str, float]:
    """The proportions of a column by defense, without those of no images."""
    cells = {row.labels["Defense"]: row.cells[column].measured for row in rows}
    return {title: cell.value for title, cell in cells.items() if isinstance(cell, Proportion) and cell.count}


def _titled(number: int) -> str:
    return list(TABLE_1)[number]


TABLES = (Table1(), Table2(), Table3(), Figure3())
