"""Tables 1 and 2 of the feature-loss autoencoder (Sivamani 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from core import domains
from core.evaluate.metrics import Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.recipe.columns import ColumnSpec, MemberSpec, Method, column_of
from core.reproduce.base import Cell, PaperTable, Row, Settings
from core.reproduce.cards import batch_for
from core.reproduce.hao2019 import accuracy
from core.reproduce.plan_table import PlanTable

EPS = 0.2
ATTACKS = {
    "FGSM": Method(name="fgsm", params={"eps": EPS}),
    "PGD-100": Method(name="pgd", params={"eps": EPS, "iterations": 100, "step_size": 0.1}),
}
ROBUST = "cnn_robust"  # the same network, adversarially trained
TITLES = {"unsecured": NO_DEFENSE, "HGD": 0, "FL": 1, "adversarially trained": 2}


class FeatureLossTable(PlanTable):
    """FGSM and PGD on Sivamani's small network, with and without each defense; the attacker who knows the defense beside. Accuracy.

    Attributes:
        domain: of the images. numbers: the published accuracies under FGSM and PGD, by defense.
    """

    n_images: ClassVar[int] = 1000
    domain: ClassVar[str]
    numbers: ClassVar[Mapping[str, tuple[float, float]]]
    published: ClassVar[str] = (
        "the same network; PGD with 100 steps of 0.1; eps 0.2; an attacker who does not know the defense."
    )

    def plan(self, settings: Settings) -> Plan:
        return super().plan(replace(settings, domain=self.domain, classifier="cnn"))

    def plan_fields(self, domain: str) -> dict[str, Any]:
        defenses: list[ColumnSpec] = [
            (Method(name="hgd", params={"weights": f"{domain}_cnn"}),),
            (Method(name="fl", params={"weights": f"{domain}_cnn"}),),
        ]
        if ROBUST in domains.get(domain).classifier_names():
            defenses.append(column_of((MemberSpec(classifier=ROBUST),)))
        return {
            **{"attacks": tuple(ATTACKS.values()), "defenses": tuple(defenses), "attacker": "both", "backward": "true"},
            "batch": batch_for(domain, 1000),
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for attack, title in enumerate(("no attack", *ATTACKS), NO_ATTACK):
            for name, number in TITLES.items():
                if number >= len(metrics.plan.defenses):
                    continue
                published = self.numbers[name][attack] if attack != NO_ATTACK else None
                adaptive: Any = "–"
                if attack != NO_ATTACK and number != NO_DEFENSE:
                    adaptive = accuracy(metrics, attack, number, "adaptive")
                cells = {
                    "does not know it": Cell(accuracy(metrics, attack, number), published),
                    "knows it": Cell(adaptive),
                }
                rows.append(Row({"Attack": title, "Defense": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        parts = []
        for attack, title in enumerate(ATTACKS):
            bare, ours = (accuracy(metrics, attack, number).value for number in (NO_DEFENSE, TITLES["FL"]))
            known = accuracy(metrics, attack, TITLES["FL"], "adaptive").value
            parts.append(
                f"{title}: FL gives {100 * (ours - bare):+.1f} points over the unsecured network; under an attacker who knows FL "
                f"{100 * known:.1f} % are right."
            )
        if len(metrics.plan.defenses) > TITLES["adversarially trained"]:
            parts.append("Who does not know that the network was adversarially trained crafts on the plain one.")
        return " ".join(parts)


class MnistFeatureLoss(FeatureLossTable):
    name: ClassVar[str] = "sivamani-table-1"
    title: ClassVar[str] = "FL, table 1: MNIST, accuracy"
    domain: ClassVar[str] = "mnist"
    numbers: ClassVar[Mapping[str, tuple[float, float]]] = {
        **{"unsecured": (22.1, 16.1), "adversarially trained": (96.4, 92.5)},
        **{"HGD": (95.9, 83.3), "FL": (92.1, 83.0)},
    }


class CifarFeatureLoss(FeatureLossTable):
    name: ClassVar[str] = "sivamani-table-2"
    title: ClassVar[str] = "FL, table 2: CIFAR-10 in gray, accuracy"
    domain: ClassVar[str] = "cifar10_gray"
    numbers: ClassVar[Mapping[str, tuple[float, float]]] = {
        **{"unsecured": (22.1, 16.1), "adversarially trained": (55.5, 47.0)},
        **{"HGD": (48.9, 42.2), "FL": (43.6, 38.5)},
    }


TABLES: tuple[PaperTable, ...] = (MnistFeatureLoss(), CifarFeatureLoss())
