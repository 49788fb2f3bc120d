"""Tables 1 to 6 and figure 15 of Defendr (Dornadula et al. 2018)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from core import domains
from core.evaluate.metrics import Bools, CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.inputs import BadInput
from core.models.artifacts import find_artifact
from core.recipe.columns import ColumnSpec, MemberSpec, Method, column_of
from core.reproduce.base import Cell, PaperTable, Row, Settings
from core.reproduce.cards import batch_for
from core.reproduce.plan_table import PlanTable

BASE = "resnet"  # the classifier that every attack without knowledge of a defense is crafted on
RANDOMIZATION = Method(name="random_resize")
DOMAINS = ("imagenette", "cifar10")
UNITS = (
    "ε is on normalized images, as the paper's accuracies suggest: on images in [0, 1] it is ε times the mean standard deviation of "
    "the channels ({values})."
)


def budget(domain: str, eps: float) -> float:
    """The paper's ε, which is on normalized images, on the scale of images in [0, 1]."""
    std = find_artifact("classifier", f"{domain}_{BASE}").card.std
    return round(eps * sum(std) / len(std), 5)


def fgsm(domain: str, eps: float) -> Method:
    return Method(name="fgsm", params={"eps": budget(domain, eps)})


def pgd(domain: str, eps: float) -> Method:
    size = budget(domain, eps)
    return Method(name="pgd", params={"eps": size, "iterations": 20, "step_size": round(size / 4, 6)})


def apgd(domain: str, eps: float) -> Method:
    return Method(name="apgd_ce", params={"eps": budget(domain, eps), "iterations": 30})


def hgd(domain: str) -> Method:
    return Method(name="hgd", params={"weights": f"{domain}_{BASE}"})


def member(classifier: str, *defenses: Method) -> MemberSpec:
    return MemberSpec(classifier=classifier, defenses=defenses)


class DefendrTable(PlanTable):
    """Attacks crafted on the plain classifier, judged by each system; and the same attacks on each system itself.

    Attributes:
        n_images: on Imagenette; on CIFAR-10 twice as many are usual.
    """

    n_images: ClassVar[int] = 500
    published: ClassVar[str] = (
        "ResNet-101 on 2,010 images of 201 ImageNet classes; an attacker who does not know the defense."
    )

    @abstractmethod
    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        """The columns by their names in the table."""

    def attacks(self, domain: str) -> dict[str, Method]:
        """The attacks by their names in the table; the last one is there for the worst case alone."""
        return {"FGSM 0.12": fgsm(domain, 0.12), "worst case": apgd(domain, 0.12)}

    def plan(self, settings: Settings) -> Plan:
        return super().plan(replace(settings, classifier=BASE))

    def plan_fields(self, domain: str) -> dict[str, Any]:
        if domain not in DOMAINS:
            raise BadInput(f"{self.name} is measured on {' or '.join(DOMAINS)}, which have all of its classifiers.")
        return {
            **{"attacks": tuple(self.attacks(domain).values()), "defenses": tuple(self.systems(domain).values())},
            **{"attacker": "both", "batch": batch_for(domain, 1000)},
        }

    def report(self, metrics: Metrics) -> str:
        domain = metrics.plan.domain
        values = ", ".join(f"{eps} → {budget(domain, eps):.4f}" for eps in (0.06, 0.12, 0.3))
        return f"{super().report(metrics).rstrip()}\n{UNITS.format(values=values)}\n"

    def names(self, metrics: Metrics) -> list[str]:
        """The systems in the order of the plan's columns."""
        return list(self.systems(metrics.plan.domain))

    def right(self, metrics: Metrics, attack: int, system: int) -> Bools:
        """Which images a system gets right under an attack that does not know it, N."""
        bare = attack == NO_ATTACK or system == NO_DEFENSE
        return metrics.is_correct(CellKey(0, attack, system, "none" if bare else "grey"))

    def share(self, metrics: Metrics, right: Bools) -> Proportion:
        return Proportion(int(right.sum()), len(right))

    def worst(self, metrics: Metrics, system: int) -> Proportion:
        """Of all images, those that a system gets right under each of the plan's attacks on that very system."""
        attacker: Any = "none" if system == NO_DEFENSE else "adaptive"
        keys = [CellKey(0, attack, system, attacker) for attack in range(len(metrics.plan.attacks))]
        return self.share(metrics, np.logical_and.reduce([metrics.is_correct(key) for key in keys]))


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
            "baseline, adversarial training": column_of((member(f"{BASE}_robust"),)),
            "CLP": column_of((member(f"{BASE}_clp"),)),
            "ALP": column_of((member(f"{BASE}_alp"),)),
            "HGD (DUNET)": (hgd(domain),),
            "randomization": (RANDOMIZATION,),
            "randomization, adversarial training": column_of((member(f"{BASE}_robust", RANDOMIZATION),)),
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            clean, attacked = self.right(metrics, NO_ATTACK, number), self.right(metrics, 0, number)
            every_second = np.where(np.arange(len(clean)) % 2 == 0, clean, attacked)
            published = self.numbers[name]
            cells = {
                f"{share} adversarial": Cell(self.share(metrics, right), value)
                for share, right, value in zip(
                    ("0 %", "50 %", "100 %"), (clean, every_second, attacked), published, strict=True
                )
            }
            cells["knows it, worst case"] = Cell(self.worst(metrics, number))
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        names = ["baseline", *self.names(metrics)]
        grey = {name: self.share(metrics, self.right(metrics, 0, n)).value for n, name in enumerate(names, NO_DEFENSE)}
        known = {name: self.worst(metrics, n).value for n, name in enumerate(names, NO_DEFENSE)}
        first, best = max(grey, key=grey.__getitem__), max(known, key=known.__getitem__)
        trained = "baseline, adversarial training"
        above = "above" if grey[trained] > grey["baseline"] else "not above"
        parts = [
            f"On adversarial images adversarial training is {above} none ({grey[trained]:.1%} and {grey['baseline']:.1%}).",
            f"Against an attacker who does not know the defense {first} is first ({grey[first]:.1%}).",
        ]
        if best != first:
            parts.append(
                f"An attacker who knows it overturns this: {first} is left with {known[first]:.1%}, "
                f"and {best} is first ({known[best]:.1%})."
            )
        else:
            parts.append(f"It is first too when the attacker knows it ({known[best]:.1%}).")
        return " ".join(parts)


class Table2(DefendrTable):
    name: ClassVar[str] = "defendr-table-2"
    title: ClassVar[str] = "Defendr, table 2: attacks; accuracy on adversarial images"
    numbers: ClassVar[Mapping[str, tuple[float, float, float, float]]] = {
        "baseline": (70.00, 47.81, 80.00, 63.88),
        "ALP": (70.55, 48.91, 80.95, 62.64),
        "HGD (DUNET)": (86.6, 72.5, 85.8, 79.0),
    }

    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        return {"ALP": column_of((member(f"{BASE}_alp"),)), "HGD (DUNET)": (hgd(domain),)}

    def attacks(self, domain: str) -> dict[str, Method]:
        return {
            **{f"FGSM {eps}": fgsm(domain, eps) for eps in (0.12, 0.3)},
            **{f"PGD {eps}": pgd(domain, eps) for eps in (0.12, 0.3)},
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for number, name in enumerate(("baseline", *self.names(metrics)), NO_DEFENSE):
            cells: dict[str, Cell] = {}
            for attack, title in enumerate(self.attacks(metrics.plan.domain)):
                right = self.right(metrics, attack, number)
                cells[title] = Cell(self.share(metrics, right), self.numbers[name][attack])
                known: Any = "none" if number == NO_DEFENSE else "adaptive"
                adaptive = metrics.is_correct(CellKey(0, attack, number, known))
                cells[f"{title}, knows it"] = Cell(self.share(metrics, adaptive))
            rows.append(Row({"System": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        return "The published baseline is the one that was trained adversarially; here it is the plain classifier."


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
        denoised, alp, clp = member("", hgd(domain)), member(f"{BASE}_alp"), member(f"{BASE}_clp")
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
        grey = {
            name: self.share(metrics, self.right(metrics, 0, n)).value for n, name in enumerate(self.names(metrics))
        }
        first = max(grey, key=grey.__getitem__)
        return f"First is {first} ({grey[first]:.1%}); published first is HGD + ALP + CLP (84.9%)."


# Table 4, by its rows: what was trained, on which attack; accuracy % under FGSM and under PGD.
TRAINED_ON: Mapping[str, tuple[str, tuple[float, float]]] = {
    "adversarial training, FGSM 0.12": ("resnet_robust_fgsm_12", (71.0, 80.0)),
    "adversarial training, PGD 0.12": ("resnet_robust_pgd_12", (69.35, 81.0)),
    "ALP, FGSM 0.12": ("resnet_alp_fgsm_12", (69.55, 79.40)),
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
                columns[title] = (Method(name="hgd", params={"weights": f"{domain}_{BASE}_{rest}"}),)
            else:
                columns[title] = column_of((member(name),))
        return columns

    def attacks(self, domain: str) -> dict[str, Method]:
        return {
            f"{word} {eps}": make(domain, eps) for eps in (0.12, 0.3) for word, make in (("FGSM", fgsm), ("PGD", pgd))
        }

    def plan_fields(self, domain: str) -> dict[str, Any]:
        missing = [name for name in self.plans(domain) if not _is_there(name)]
        if domain in DOMAINS and missing:
            raise BadInput(
                f"{self.name} needs networks that do not ship. Train them first: "
                + "; ".join(f"python -m core train {name}" for name in missing)
                + "."
            )
        return {**super().plan_fields(domain), "attacker": "grey"}

    def plans(self, domain: str) -> list[str]:
        """The plans of the networks that the table compares."""
        return [
            f"hgd_{domain}_{BASE}_{name.removeprefix('hgd_')}" if name.startswith("hgd") else f"{domain}_{name}"
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


class PerClass(Table3):
    """Tables 5 and 6: the classes that the ensemble of all three gets right most and least often.

    Attributes:
        best: whether it lists the best classes. classes: the published ones with their accuracy %.
    """

    best: ClassVar[bool]
    classes: ClassVar[Sequence[tuple[str, float]]]

    def rows(self, metrics: Metrics) -> list[Row]:
        titles = domains.get(metrics.plan.domain).classes
        number = self.names(metrics).index("HGD + ALP + CLP")
        shares = metrics.by_class(CellKey(0, 0, number, "grey"), len(titles))
        counted = [n for n, share in enumerate(shares) if share.count]
        ranked = sorted(counted, key=lambda n: -shares[n].value if self.best else shares[n].value)[:10]
        return [
            Row(
                {"Rank": str(rank), "Class": titles[n], "Published class": theirs}, {"accuracy": Cell(shares[n], value)}
            )
            for rank, (n, (theirs, value)) in enumerate(zip(ranked, self.classes, strict=False), 1)
        ]

    def conclusion(self, metrics: Metrics) -> str:
        return "The paper's 201 classes are others: the table tells how unevenly the system does, not which classes are hard."


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
        return f"{stayed} of the images keep their class. Most often {titles[row]} becomes {titles[column]} ({counts[row, column]} images)."


def _is_there(name: str) -> bool:
    kind: Any = "denoiser" if name.startswith("hgd_") else "classifier"
    try:
        find_artifact(kind, name)
    except BadInput:
        return False
    return True


TABLES: tuple[PaperTable, ...] = (Table1(), Table2(), Table3(), Table4(), Table5(), Table6(), Figure15())
