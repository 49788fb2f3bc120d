"""What Defendr's tables have in common (Dornadula et al. 2018)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from core.evaluate.metrics import Bools, CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.inputs import InvalidInput
from core.models.artifacts import find_artifact
from core.recipe.columns import ColumnSpec, MemberSpec, Method
from core.reproduce.base import Row, Settings
from core.reproduce.cards import batch_for
from core.reproduce.plan_table import PlanTable

WORST = ("FGSM 0.12", "worst case")  # what the column "knows it, worst case" counts, by the names in `attacks`
RANDOMIZATION = Method(name="random_resize")
UNITS = (
    "ε is on normalized images, as the paper's accuracies suggest: on images in [0, 1] it is ε times the mean standard deviation of "
    "the channels ({values})."
)


def member(classifier: str, *defenses: Method) -> MemberSpec:
    """A classifier behind defenses; '' is the plain one."""
    return MemberSpec(classifier=classifier, defenses=defenses)


class DefendrTable(PlanTable):
    """Attacks crafted on the plain classifier, judged by each system; and the same attacks on each system itself.

    Attributes:
        n_images: on Imagenette; on CIFAR-10 twice as many are usual.
        plain: the classifier that every attack without knowledge of a defense is crafted on.
        measured_on: the domains that have all the classifiers.
    """

    n_images: ClassVar[int] = 500
    plain: ClassVar[str] = "resnet"
    measured_on: ClassVar[tuple[str, ...]] = ("imagenette", "cifar10")
    published: ClassVar[str] = (
        "ResNet-101 on 2,010 images of 201 ImageNet classes; an attacker who does not know the defense."
    )

    def budget(self, domain: str, eps: float) -> float:
        """The paper's ε, which is on normalized images, on the scale of images in [0, 1]."""
        std = find_artifact("classifier", f"{domain}_{self.plain}").card.std
        return round(eps * sum(std) / len(std), 5)

    def fgsm(self, domain: str, eps: float) -> Method:
        return Method(name="fgsm", params={"eps": self.budget(domain, eps)})

    def pgd(self, domain: str, eps: float) -> Method:
        size = self.budget(domain, eps)
        return Method(name="pgd", params={"eps": size, "iterations": 20, "step_size": round(size / 4, 6)})

    def apgd(self, domain: str, eps: float) -> Method:
        """APGD that leaves an image at its first success: the table asks only whether one exists."""
        return Method(name="apgd_ce", params={"eps": self.budget(domain, eps), "iterations": 30, "early_stop": True})

    def hgd(self, domain: str) -> Method:
        """The guided denoiser before the plain classifier."""
        return Method(name="hgd", params={"weights": f"{domain}_{self.plain}"})

    @abstractmethod
    def systems(self, domain: str) -> dict[str, ColumnSpec]:
        """The columns by their names in the table."""

    def attacks(self, domain: str) -> dict[str, Method]:
        """The attacks by their names in the table; "worst case" is there for that column alone."""
        return {"FGSM 0.12": self.fgsm(domain, 0.12), "worst case": self.apgd(domain, 0.12)}

    def plan(self, settings: Settings) -> Plan:
        if settings.classifier not in ("", self.plain):
            raise InvalidInput(f"{self.name} compares networks of its own with {self.plain}; leave out --classifier.")
        return super().plan(replace(settings, classifier=self.plain))

    def plan_fields(self, domain: str) -> dict[str, Any]:
        if domain not in self.measured_on:
            raise InvalidInput(
                f"{self.name} is measured on {' or '.join(self.measured_on)}, which have all of its classifiers."
            )
        return {
            **{"attacks": tuple(self.attacks(domain).values()), "defenses": tuple(self.systems(domain).values())},
            **{"attacker": "both", "batch": batch_for(domain, 1000)},
        }

    def report(self, metrics: Metrics, rows: list[Row], conclusion: str) -> str:
        domain = metrics.plan.domain
        values = ", ".join(f"{eps} → {self.budget(domain, eps):.4f}" for eps in (0.06, 0.12, 0.3))
        return f"{super().report(metrics, rows, conclusion).rstrip()}\n{UNITS.format(values=values)}\n"

    def names(self, metrics: Metrics) -> list[str]:
        """The systems in the order of the plan's columns."""
        return list(self.systems(metrics.plan.domain))

    def right(self, metrics: Metrics, attack: int, system: int) -> Bools:
        """Which images a system gets right under an attack that does not know it, N."""
        bare = attack == NO_ATTACK or system == NO_DEFENSE
        return metrics.is_correct(CellKey(0, attack, system, "none" if bare else "grey"))

    def order(self, grey: Mapping[str, Proportion], known: Mapping[str, Proportion]) -> str:
        """Which system is first in the grey box, and whether an attacker who knows the system leaves that order.

        Where the 95 % intervals of the two overlap, the order is left open.

        Args:
            grey, known: the accuracies of the same systems by their names.
        """
        first = max(grey, key=lambda name: grey[name].value)
        best = max(known, key=lambda name: known[name].value)
        begin = f"Against an attacker who does not know the defense {first} is first ({100 * grey[first].value:.1f} %)."
        if not known[best].successes:
            return f"{begin} An attacker who knows it leaves nothing of any of them."
        if known[first].value == known[best].value:
            return f"{begin} It is first too when the attacker knows it ({100 * known[first].value:.1f} %)."
        if known[first].overlaps(known[best]):
            return (
                f"{begin} When the attacker knows it {best} is first ({100 * known[best].value:.1f} %), within the intervals of "
                f"{first} ({100 * known[first].value:.1f} %)."
            )
        return (
            f"{begin} An attacker who knows it overturns this: {first} is left with {100 * known[first].value:.1f} %, "
            f"and {best} is first ({100 * known[best].value:.1f} %)."
        )

    def share(self, metrics: Metrics, right: Bools) -> Proportion:
        return Proportion(int(right.sum()), len(right))

    def known(self, metrics: Metrics, system: int, *attacks: str) -> Proportion:
        """Of all images, those that a system gets right under each of these attacks on that very system.

        Args:
            attacks: by their names in `attacks`.
        """
        return self.right_in_all(metrics, self.known_keys(metrics, system, *attacks))

    def right_in_all(self, metrics: Metrics, keys: Sequence[CellKey]) -> Proportion:
        """Of all images, those that are right in each of the cells."""
        return self.share(metrics, np.logical_and.reduce([metrics.is_correct(key) for key in keys]))

    def known_keys(self, metrics: Metrics, system: int, *attacks: str) -> list[CellKey]:
        """The cells of these attacks on that very system."""
        attacker: Any = "none" if system == NO_DEFENSE else "adaptive"
        names = list(self.attacks(metrics.plan.domain))
        return [CellKey(0, names.index(name), system, attacker) for name in attacks]
