"""The tables and the figure of Local Gradients Smoothing (Naseer, Khan and Porikli 2019), each from one plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from core import domains
from core.evaluate.measures import Findings, Place
from core.evaluate.plan import BARE, CLEAN, Plan
from core.evaluate.report import heading
from core.evaluate.share import Share
from core.evaluate.tables import Row, markdown
from core.inputs import BadInput
from core.recipe.columns import Method

DefenseOutcome = tuple[Method, ...]
# Accuracy % of Inception v3 on ImageNet's validation set: no attack, 42, 52 and 60 of 299 pixels (table 1).
TABLE_1: dict[str, tuple[DefenseOutcome, tuple[float, float, float, float]]] = {
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
NONE_1 = (75.61, 11.00, 2.79, 0.78)
AREAS = (0.02, 0.03, 0.04)
# The five that the paper takes on for tables 2 and 3, and what it found: accuracy % there, attack success % here.
CHOSEN = ("LGS λ 2.3", "median 3", "JPEG 30", "TVM 10", "bits 3")
TABLE_2 = dict(zip(CHOSEN, (90.5, 49.1, 45.0, 1.0, 0.0), strict=True))
TABLE_3 = dict(zip(CHOSEN, (18.0, 75.0, 73.3, 78.1, 83.0), strict=True))
TARGETS = {"imagenet": "toaster", "imagenette": "parachute"}
KEPT = 200  # attacked pictures at most
SURE = 0.9  # a picture counts in table 2 when the patch makes it the target with this confidence


class Experiment(ABC):
    """One table or figure: the plan that makes it, and its rows beside the published numbers."""

    name: ClassVar[str]
    title: ClassVar[str]
    pictures: ClassVar[int]
    published: ClassVar[str]

    @abstractmethod
    def choices(self, domain: str) -> dict[str, Any]:
        """Which attacks and defenses, as a plan takes them.

        Raises:
            BadInput: the domain has no target for it.
        """

    def plan(self, domain: str, classifier: str, count: int, seed: int) -> Plan:
        """What is to be run: on the domain's own classifier unless one is named."""
        named = (classifier,) if classifier else ()
        return Plan(
            domain=domain,
            classifiers=named,
            n_images=count,
            seed=seed,
            save_images=min(count, KEPT),
            **self.choices(domain),
        )

    @abstractmethod
    def rows(self, findings: Findings) -> list[Row]:
        """The table."""

    def verdict(self, findings: Findings) -> str:
        """What the paper claims, and whether it holds here; one sentence or more."""
        return ""

    def report(self, findings: Findings) -> str:
        """The table as Markdown, under what it was measured on."""
        plan = findings.plan
        domain = domains.get(plan.domain)
        which = domain.classifier_title(plan.classifier_names()[0])
        settings = "; ".join(plan.attack_title(number) for number in range(len(plan.attacks)))
        return (
            f"## {self.title}\n\n{which}; {heading(findings)}.\n"
            + (f"Attack: {settings}.\n" if settings else "")
            + f"Published: {self.published}\n\n{markdown(self.rows(findings))}\n{self.verdict(findings)}".rstrip()
            + "\n"
        )


class Table1(Experiment):
    name: ClassVar[str] = "lgs-table-1"
    title: ClassVar[str] = "LGS, table 1: LaVAN along the border, random targets; accuracy"
    pictures: ClassVar[int] = 200
    published: ClassVar[str] = "Inception v3 on ImageNet's validation set, patches of 42, 52 and 60 of 299 pixels."

    def choices(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": tuple(Method(name="lavan", params={"area": area, "steps": 1000}) for area in AREAS),
            "defenses": tuple(column for column, _ in TABLE_1.values()),
            "attacker": "grey",
        }

    def rows(self, findings: Findings) -> list[Row]:
        heads = ("no attack", *(f"{area:.0%}" for area in AREAS))
        rows: list[Row] = []
        for number, (title, published) in enumerate(
            [("no defense", NONE_1), *((title, values) for title, (_, values) in TABLE_1.items())], BARE
        ):
            row: Row = {"Defense": title}
            for head, attack, value in zip(heads, (CLEAN, 0, 1, 2), published, strict=True):
                row[head] = str(_accuracy(findings, attack, number))
                row[f"{head}, published"] = f"{value:.1f}"
            rows.append(row)
        return rows

    def verdict(self, findings: Findings) -> str:
        plan, parts = findings.plan, []
        lgs, others = range(5), range(5, len(plan.defenses))
        for attack, area in enumerate(AREAS):
            shares = {n: _accuracy(findings, attack, n) for n in range(len(plan.defenses))}
            best, rival = max(lgs, key=lambda n: shares[n].value), max(others, key=lambda n: shares[n].value)
            word = "first" if shares[best].value >= shares[rival].value else "not first"
            parts.append(
                f"{area:.0%}: LGS is {word} ({_titled(best)} {shares[best].value:.1%}; the best of the others is {_titled(rival)}, "
                f"{shares[rival].value:.1%})."
            )
        clean = _accuracy(findings, CLEAN, BARE).value
        costs = []
        for number in (0, 4):
            cost = clean - _accuracy(findings, CLEAN, number).value
            costs.append(
                f"{_titled(number)} costs {100 * cost:.1f} points ({'within' if cost <= 0.06 else 'more than'} 6)"
            )
        return " ".join(parts) + f" Without an attack {' and '.join(costs)}."


class Table2(Experiment):
    name: ClassVar[str] = "lgs-table-2"
    title: ClassVar[str] = (
        "LGS, table 2: one universal patch of 10 %; accuracy on the pictures it turned into its target"
    )
    pictures: ClassVar[int] = 1000
    published: ClassVar[str] = (
        "Inception v3 on 1,000 ImageNet pictures that a 95-pixel patch had made 'toaster' at 90 % or more."
    )

    def choices(self, domain: str) -> dict[str, Any]:
        if domain not in TARGETS:
            raise BadInput(f"{self.name} needs a target; it has one on {' and '.join(TARGETS)}.")
        return {
            "attacks": (Method(name="universal_patch", params={"area": 0.1, "steps": 1000}),),
            "target": TARGETS[domain],
            "defenses": tuple(TABLE_1[title][0] for title in CHOSEN),
            "attacker": "grey",
        }

    def rows(self, findings: Findings) -> list[Row]:
        under = findings.cell(Place(0, 0, BARE, "none"))
        target = int(under.targets.max(initial=0))
        became = (under.predicted == target) & (findings.labels != target)
        groups = {"right": became, f"right, at {SURE:.0%} or more": became & (under.confidence >= SURE)}
        rows: list[Row] = []
        for number, title in enumerate(("no defense", *CHOSEN), BARE):
            right = findings.right(Place(0, 0, number, "grey" if number != BARE else "none"))
            row: Row = {"Defense": title}
            row |= {head: str(Share(int((right & group).sum()), int(group.sum()))) for head, group in groups.items()}
            rows.append({**row, "published": f"{TABLE_2.get(title, 0.0):.1f}"})
        return rows

    def verdict(self, findings: Findings) -> str:
        right = {str(row["Defense"]): float(str(row["right"]).split("%")[0]) for row in self.rows(findings)}
        ranked = sorted(right, key=lambda title: -right[title])
        return (
            f"In this order: {', '.join(ranked)}. 'right' counts all pictures that became the target; the paper only took those at "
            "90 % or more."
        )


class Table3(Experiment):
    name: ClassVar[str] = "lgs-table-3"
    title: ClassVar[str] = "LGS, table 3: LaVAN with BPDA, 2 % of the area; attack success"
    pictures: ClassVar[int] = 200
    published: ClassVar[str] = (
        "Inception v3, 1,000 ImageNet pictures, 42 of 299 pixels; the same target, place and number of iterations for every defense."
    )

    def choices(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": (Method(name="lavan", params={"area": AREAS[0], "steps": 1000}),),
            "defenses": tuple(TABLE_1[title][0] for title in CHOSEN),
            "attacker": "adaptive",
            "backward": "identity",
        }

    def rows(self, findings: Findings) -> list[Row]:
        places = [Place(0, 0, n, "none" if n == BARE else "adaptive") for n in range(BARE, len(CHOSEN))]
        # While it grows, only those pictures count that every defense has been attacked on.
        common = np.logical_and.reduce([findings.cell(place).known for place in places])
        rows: list[Row] = []
        for title, place in zip(("no defense", *CHOSEN), places, strict=True):
            count = int(common.sum())
            rows.append(
                {
                    "Defense": title,
                    "becomes the target": str(Share(int((findings.reached(place) & common).sum()), count)),
                    "published": f"{TABLE_3.get(title, 88.0):.1f}",
                    "any wrong class": str(Share(int((~findings.right(place) & common).sum()), count)),
                }
            )
        return rows

    def verdict(self, findings: Findings) -> str:
        told = {str(row["Defense"]): str(row["becomes the target"]) for row in self.rows(findings)[1:]}
        share = {title: float(words.split("%")[0]) for title, words in told.items() if "%" in words}
        if not share:
            return "No picture was attacked behind every defense yet."
        return f"From the lowest: {', '.join(sorted(share, key=lambda title: share[title]))}."


class Figure3(Experiment):
    name: ClassVar[str] = "lgs-figure-3"
    title: ClassVar[str] = "LGS, figure 3: what each defense takes"
    pictures: ClassVar[int] = 200
    published: ClassVar[str] = (
        "a chart in a logarithmic scale without numbers in the text: 50,000 pictures on an i7-7700k."
    )

    def choices(self, domain: str) -> dict[str, Any]:
        return {
            "attacks": (),
            "defenses": tuple(TABLE_1[title][0] for title in (*CHOSEN, "Gaussian 5", "bilateral 5")),
            "attacker": "grey",
        }

    def rows(self, findings: Findings) -> list[Row]:
        titles = (*CHOSEN, "Gaussian 5", "bilateral 5")
        seconds = {title: findings.seconds(number) for number, title in enumerate(titles)}
        return [
            {
                "Defense": title,
                "ms a picture": round(1000 * seconds[title], 3),
                "50,000 pictures, s": round(50_000 * seconds[title]) if np.isfinite(seconds[title]) else "–",
            }
            for title in sorted(titles, key=lambda t: seconds[t])
        ]


def _accuracy(findings: Findings, attack: int, defense: int) -> Share:
    attacker = "none" if attack == CLEAN or defense == BARE else "grey"
    share = findings.share(Place(0, attack, defense, attacker))  # type: ignore[arg-type]
    assert share is not None
    return share


def _titled(number: int) -> str:
    return list(TABLE_1)[number]


EXPERIMENTS: dict[str, Experiment] = {one.name: one for one in (Table1(), Table2(), Table3(), Figure3())}
