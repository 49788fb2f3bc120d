"""Tables 1 and 2 of the defense kernel network (Hao et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.evaluate.report import heading
from core.evaluate.tables import markdown
from core.progress import OnProgress
from core.recipe.columns import ColumnSpec, MemberSpec, Method, column_of
from core.reproduce.base import Cell, MeasuredTable, PaperTable, Row, Settings, as_table
from core.reproduce.cards import batch_for
from core.reproduce.plan_table import MAX_SAVED_IMAGES, PlanTable, measured_plans

Published = Mapping[str, tuple[float, float]]  # by attack: accuracy % in the white box and in the black box


class KernelTable(PaperTable):
    """Attacks on one classifier, which knows no defense, judged behind each defense by that classifier and by another one.

    Beside them stands the attacker who knows the defense kernel network. Accuracy in percent.

    Attributes:
        domain, white_box, black_box: the attacked classifier, and the one that judges the same images as a black box.
        weights: of the defense kernel network.
        attacks: by their names in the table. adaptive: those that are crafted through the defense kernel network, too.
        comparators: the other defenses by their names in the table, with the published accuracies; `ours` are those of the network.
    """

    n_images: ClassVar[int] = 1000
    domain: ClassVar[str]
    white_box: ClassVar[str]
    black_box: ClassVar[str]
    weights: ClassVar[str]
    attacks: ClassVar[Mapping[str, Method]]
    adaptive: ClassVar[tuple[str, ...]] = ("FGSM", "PGD", "APGD")
    comparators: ClassVar[Mapping[str, tuple[Method, Published]]]
    ours: ClassVar[Published]
    clean: ClassVar[tuple[float, float]]  # published accuracy % without an attack: bare, and behind the network

    def network(self) -> Method:
        """The defense kernel network."""
        return Method(name="dkn", params={"weights": self.weights})

    def plans(self, settings: Settings) -> tuple[Plan, Plan]:
        """The evaluation of all defenses by an attacker who knows none, and that of the network by one who knows it."""
        n_images = self.n_images if settings.n_images is None else settings.n_images
        defenses = [self.network(), *(method for method, _ in self.comparators.values())]
        judged: list[ColumnSpec] = [
            *((method,) for method in defenses),
            *(column_of((MemberSpec(classifier=self.black_box, defenses=(method,)),)) for method in defenses),
            column_of((MemberSpec(classifier=self.black_box),)),
        ]
        common: dict[str, Any] = {
            **{"domain": self.domain, "classifiers": (self.white_box,), "n_images": n_images, "seed": settings.seed},
            **{"save_images": min(n_images, MAX_SAVED_IMAGES), "batch": batch_for(self.domain, n_images)},
        }
        grey = Plan(**common, attacks=tuple(self.attacks.values()), defenses=tuple(judged), attacker="grey")
        known = tuple(self.attacks[name] for name in self.adaptive)
        return grey, Plan(**common, attacks=known, defenses=((self.network(),),), attacker="adaptive", backward="true")

    def measure(self, settings: Settings, on_progress: OnProgress | None = None) -> MeasuredTable | None:
        first, second = self.plans(settings)
        with measured_plans({"": first, "adaptive": second}, settings, on_progress) as found:
            if found is None:
                return None
            grey, adaptive = found
            table = as_table(self.rows(grey, adaptive))
            about = f"## {self.title}\n\n{heading(grey)}.\nPublished: {self.published}\n"
            report = f"{about}\n{markdown(table)}\n{self.conclusion(grey)}\n"
            return MeasuredTable(table, report, first.n_images, grey.run.path)

    def rows(self, grey: Metrics, adaptive: Metrics) -> list[Row]:
        """The rows of the table: for each attack no defense, the network, and the comparators."""
        count = 1 + len(self.comparators)
        bare = 2 * count  # the column of the other classifier without a defense
        known = {name: number for number, name in enumerate(self.adaptive)}
        rows = []
        for attack, title in enumerate(("no attack", *self.attacks), NO_ATTACK):
            for number, name in enumerate(("no defense", "DKN", *self.comparators), NO_DEFENSE):
                published = self._published(title, name)
                cells = {
                    "white box": Cell(accuracy(grey, attack, number), published[0]),
                    "black box": Cell(
                        accuracy(grey, attack, bare if number == NO_DEFENSE else count + number), published[1]
                    ),
                }
                if name == "DKN":
                    adaptive_accuracy = accuracy(adaptive, known[title], 0, "adaptive") if title in known else "–"
                    cells["knows DKN"] = Cell(adaptive_accuracy)
                else:
                    cells["knows DKN"] = Cell("–")
                rows.append(Row({"Attack": title, "Defense": name}, cells))
        return rows

    def _published(self, attack: str, defense: str) -> tuple[float | None, float | None]:
        if attack == "no attack":
            return {"no defense": self.clean[0], "DKN": self.clean[1]}.get(defense), None
        if defense == "DKN":
            return self.ours.get(attack, (None, None))
        return self.comparators[defense][1].get(attack, (None, None)) if defense in self.comparators else (None, None)

    def conclusion(self, metrics: Metrics) -> str:
        """Whether the network is ahead of every comparator, as published, and what it costs on clean images."""
        count = 1 + len(self.comparators)
        sentences = []
        for box, first in (("white", 0), ("black", count)):
            for attack, title in enumerate(self.attacks):
                if title not in ("FGSM", "PGD"):
                    continue
                ours = accuracy(metrics, attack, first)
                rivals = {name: accuracy(metrics, attack, first + n) for n, name in enumerate(self.comparators, 1)}
                best = max(rivals, key=lambda name: rivals[name].value)
                word = "first" if ours.value > rivals[best].value else "not first"
                sentences.append(
                    f"{title}, {box} box: DKN is {word} ({100 * ours.value:.1f} %; the best of the others is {best}, "
                    f"{100 * rivals[best].value:.1f} %{'; the intervals overlap' if ours.overlaps(rivals[best]) else ''})."
                )
        cost = accuracy(metrics, NO_ATTACK, NO_DEFENSE).value - accuracy(metrics, NO_ATTACK, 0).value
        sentences.append(f"On clean images DKN costs {100 * cost:.1f} points.")
        sentences.append(
            "White box and black box here are attackers who do not know the defense (grey box): these numbers are no robustness. "
            "The column *knows DKN* is the attacker who does."
        )
        return " ".join(sentences)


def accuracy(metrics: Metrics, attack: int, defense: int, attacker: str = "grey") -> Proportion:
    """The accuracy of a cell of the first classifier."""
    whose: Any = "none" if attack == NO_ATTACK or defense == NO_DEFENSE else attacker
    share = metrics.proportion(CellKey(0, attack, defense, whose))
    assert share is not None
    return share


def _comparators(
    depths: tuple[int, ...], qualities: tuple[int, ...], numbers: Mapping[str, tuple[tuple[float, float], ...]]
) -> dict[str, tuple[Method, Published]]:
    """Feature squeezing at each depth, spatial smoothing 2 and 3, JPEG at each quality, TVM; `numbers` by attack in that order."""
    methods = {
        **{f"bits {depth}": Method(name="bitdepth", params={"bits": min(depth, 8)}) for depth in depths},
        **{f"spatial {window}": Method(name="spatial", params={"window": window}) for window in (2, 3)},
        **{f"JPEG {quality}": Method(name="jpeg", params={"quality": quality}) for quality in qualities},
        "TVM": Method(name="tvm"),
    }
    return {
        name: (method, {attack: values[number] for attack, values in numbers.items()})
        for number, (name, method) in enumerate(methods.items())
    }


def _attacks(eps: float) -> dict[str, Method]:
    return {
        "FGSM": Method(name="fgsm", params={"eps": eps}),
        "PGD": Method(name="pgd", params={"eps": eps, "iterations": 20, "step_size": eps / 4}),
        "C&W": Method(name="cw"),
        "APGD": Method(name="apgd_ce", params={"eps": eps, "iterations": 20}),
    }


class MnistKernels(KernelTable):
    name: ClassVar[str] = "hao-table-1"
    title: ClassVar[str] = "DKN, table 1: MNIST, accuracy"
    published: ClassVar[str] = (
        "1,000 untargeted adversarial images of model A (98.30 % clean), judged by models A and B."
    )
    domain: ClassVar[str] = "mnist"
    white_box: ClassVar[str] = "a"
    black_box: ClassVar[str] = "b"
    weights: ClassVar[str] = "mnist_a"
    attacks: ClassVar[Mapping[str, Method]] = _attacks(0.3)
    comparators: ClassVar[Mapping[str, tuple[Method, Published]]] = _comparators(
        (1, 2, 5),
        (70, 80, 90),
        {
            "FGSM": (
                *((58.27, 76.74), (4.59, 69.13), (2.00, 70.91), (40.09, 66.79), (16.00, 71.47)),
                *((15.17, 71.32), (13.17, 71.51), (10.31, 71.50), (41.67, 64.82)),
            ),
            "PGD": (
                *((93.34, 81.31), (5.23, 71.62), (0.35, 77.11), (15.21, 77.42), (11.83, 71.42)),
                *((7.62, 77.80), (6.74, 75.00), (3.38, 76.43), (33.32, 71.45)),
            ),
            "C&W": (
                *((75.00, 87.77), (77.07, 90.09), (1.78, 89.86), (88.48, 89.09), (76.11, 88.62)),
                *((91.09, 90.19), (90.62, 89.87), (88.54, 90.19), (82.70, 87.94)),
            ),
        },
    )
    ours: ClassVar[Published] = {"FGSM": (99.33, 88.30), "PGD": (92.95, 82.37), "C&W": (95.88, 90.62)}
    clean: ClassVar[tuple[float, float]] = (98.30, 98.55)


class CifarKernels(KernelTable):
    name: ClassVar[str] = "hao-table-2"
    title: ClassVar[str] = "DKN, table 2: CIFAR-10, accuracy"
    published: ClassVar[str] = (
        "1,000 untargeted adversarial images of VGG-19 (89.32 % clean), judged by it and by ResNet-18."
    )
    domain: ClassVar[str] = "cifar10"
    white_box: ClassVar[str] = "vgg"
    black_box: ClassVar[str] = "resnet"
    weights: ClassVar[str] = "cifar10_vgg"
    attacks: ClassVar[Mapping[str, Method]] = _attacks(8 / 255)
    comparators: ClassVar[Mapping[str, tuple[Method, Published]]] = _comparators(
        (1, 5, 10),
        (80, 90, 95),
        {
            "FGSM": (
                *((8.17, 14.96), (0.18, 9.64), (0.0, 9.64), (8.33, 11.51), (9.93, 12.07)),
                *((1.52, 9.73), (0.0, 9.43), (1.37, 9.64), (15.01, 10.14)),
            ),
            "PGD": (
                *((3.63, 15.83), (0.14, 0.14), (0.0, 0.87), (0.0, 7.11), (0.0, 5.53)),
                *((0.81, 4.32), (1.69, 2.50), (1.24, 1.47), (13.66, 16.30)),
            ),
            "C&W": (
                *((46.31, 27.18), (62.12, 87.12), (0.95, 87.10), (68.20, 82.82), (62.97, 80.01)),
                *((79.36, 79.03), (74.53, 83.56), (67.15, 86.80), (47.30, 51.00)),
            ),
        },
    )
    ours: ClassVar[Published] = {"FGSM": (42.84, 51.30), "PGD": (82.37, 49.18), "C&W": (71.72, 86.60)}
    clean: ClassVar[tuple[float, float]] = (89.32, 89.79)


class LossAblation(PlanTable):
    """The kernel network of CIFAR-10 trained without one of its losses, behind which both classifiers judge the same images."""

    name: ClassVar[str] = "hao-figure-2"
    title: ClassVar[str] = "DKN, figure 2: the losses of the training; accuracy"
    n_images: ClassVar[int] = 1000
    published: ClassVar[str] = "attacks on VGG-19, judged by ResNet-18 on CIFAR-10; the paper's text gives FGSM alone."
    losses: ClassVar[
        Mapping[str, tuple[str, float]]
    ] = {  # the artifact's ending, and the published accuracy % under FGSM
        "all losses": ("_fgsm", 60.83),
        "without l1": ("_no_l1", 47.5),
        "without perceptual": ("_no_perceptual", 46.1),
        "without cross-entropy": ("_no_cross_entropy", 54.54),
    }

    def plan(self, settings: Settings) -> Plan:
        return super().plan(replace(settings, domain="cifar10", classifier="vgg"))

    def plan_fields(self, domain: str) -> dict[str, Any]:
        methods = [Method(name="dkn", params={"weights": f"cifar10_vgg{end}"}) for end, _ in self.losses.values()]
        columns: list[ColumnSpec] = [
            *((method,) for method in methods),
            *(column_of((MemberSpec(classifier="resnet", defenses=(method,)),)) for method in methods),
        ]
        return {
            **{"attacks": tuple(_attacks(8 / 255).values()), "defenses": tuple(columns), "attacker": "grey"},
            "batch": batch_for(domain, 1000),
        }

    def rows(self, metrics: Metrics) -> list[Row]:
        rows = []
        for attack, title in enumerate(("no attack", *_attacks(8 / 255)), NO_ATTACK):
            for number, (name, (_, published)) in enumerate(self.losses.items()):
                cells = {
                    "white box": Cell(accuracy(metrics, attack, number)),
                    "black box": Cell(
                        accuracy(metrics, attack, len(self.losses) + number), published if title == "FGSM" else None
                    ),
                }
                rows.append(Row({"Attack": title, "Losses": name}, cells))
        return rows

    def conclusion(self, metrics: Metrics) -> str:
        sentences = []
        for box, first in (("white", 0), ("black", len(self.losses))):
            accuracies = {name: accuracy(metrics, 0, first + n).value for n, name in enumerate(self.losses)}
            best = max(accuracies, key=accuracies.__getitem__)
            all_losses = 100 * accuracies["all losses"]
            sentences.append(
                f"FGSM, {box} box: first is {best} ({100 * accuracies[best]:.1f} %), all losses give {all_losses:.1f} %."
            )
        return " ".join(sentences)


TABLES: tuple[PaperTable, ...] = (MnistKernels(), CifarKernels(), LossAblation())
