"""The attention masks as a detector (tables 1 to 4, section 3.3) and the spatial attack on MNIST (section 4) of Nguyen 2018."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from core import domains
from core.attacks import CW, FGSM, JSMA, PGD, Attack, StAdv
from core.detectors import ConvolutionalMasks, FeatureSqueezing, MaskDisagreement
from core.evaluate.detector_benchmark import adaptive_attack
from core.evaluate.proportion import Proportion
from core.evaluate.tables import markdown
from core.explain import masks
from core.images import quantise
from core.models.classifier import Classifier
from core.reproduce.base import Cell, Row, as_table
from core.reproduce.count_table import CountedRow, CountFunction, CountTable
from core.warp import variation

EPS = 8 / 255
BETA = 3.0
CORRECT, FOOLED = "still right", "fooled within a variation of 7"  # columns of the spatial attack's table
ATTACKS: dict[str, Attack] = {"FGSM": FGSM(eps=EPS), "JSMA": JSMA(), "C&W": CW()}
ADAPTIVE = "PGD"
CLASSIFIERS = {"alexnet": "AlexNet", "vgg": "VGG-like"}
N_CALIBRATION = 1000  # training images on which feature squeezing's threshold is chosen

# Published, in percent: masks that keep their class (table 1); true positives and true negatives (tables 2 and 3); table 4 is all 100.
TABLE_1 = {"FGSM": 86.3, "JSMA": 87.8, "C&W": 99.7}
TABLES_2_AND_3 = {
    "alexnet": {"FGSM": (87.8, 61.4), "JSMA": (96.0, 61.4), "C&W": (86.0, 61.4)},
    "vgg": {"FGSM": (84.3, 66.5), "JSMA": (85.3, 64.7), "C&W": (91.7, 75.0)},
}


class MaskTables(CountTable):
    """f2 reads the attention mask and f1 the image; where they disagree, the image counts as adversarial."""

    name: ClassVar[str] = "lan"
    title: ClassVar[str] = "Attention masks as a detector on CIFAR-10 (LAN, tables 1 to 4)"
    domain: ClassVar[str] = "cifar10"
    classifier: ClassVar[str] = "alexnet"
    n_images: ClassVar[int] = 1000
    published: ClassVar[str] = (
        "on 10,000 CIFAR-10 test images, with eps, JSMA's and C&W's settings unnamed; f1 82 % and f2 60 % right on clean images."
    )
    kind: ClassVar[masks.Kind] = "fc"

    def counted_rows(self, classifier: Classifier, seed: int) -> list[CountedRow]:
        domain = domains.get(self.domain)
        device = str(classifier.device)
        method = ConvolutionalMasks if self.kind == "conv" else MaskDisagreement
        weights = masks.find(self.domain, self.kind, BETA)
        clean, _ = domain.sample(N_CALIBRATION, split="train", seed=seed)
        rows = []
        for name, title in CLASSIFIERS.items():
            attacked = classifier if name == classifier.name else domain.classifier(name, device)
            detector, squeezing = method(weights=weights).around(attacked), FeatureSqueezing(attacked)
            threshold = squeezing.threshold(clean)
            for attack_name, attack in {**ATTACKS, ADAPTIVE: PGD(eps=EPS)}.items():
                rows.append(CountedRow(f"{title}, {attack_name}", _oblivious(detector, squeezing, threshold, attack)))
            adaptive = _adaptive(detector, squeezing, threshold, PGD(eps=EPS))
            rows.append(CountedRow(f"{title}, {ADAPTIVE} knowing", adaptive))
        return rows

    def rows(self, counted_rows: list[CountedRow], totals: Mapping[str, Mapping[str, int]]) -> list[Row]:
        rows: list[Row] = []

        def add(table: str, attack: str, measure: str, count: int, total: int, published: float | None = None) -> None:
            labels = {"table": table, "attack": attack, "": measure}
            rows.append(Row(labels, {"measured": Cell(Proportion(count, total), published)}))

        for attack in ATTACKS:
            n = totals[f"AlexNet, {attack}"]
            measure = "masks that keep their class"
            add(f"1: {measure}", attack, measure, n["kept"], n["fooled"], TABLE_1[attack])
        for number, (name, title) in enumerate(CLASSIFIERS.items(), start=2):
            for attack in ATTACKS:
                n = totals[f"{title}, {attack}"]
                positive, negative = TABLES_2_AND_3[name][attack]
                add(f"{number}: {title}", attack, "true positive", n["flagged"], n["fooled"], positive)
                add(f"{number}: {title}", attack, "true negative", n["silent"], n["fooled"], negative)
        for title in CLASSIFIERS.values():
            for attack in ATTACKS:
                n = totals[f"{title}, {attack}"]
                table, readable = f"4: {title}, only images whose clean mask is read right", n["readable"]
                add(table, attack, "true positive", n["readable flagged"], readable, 100.0)
                add(table, attack, "true negative (by the choice of images)", readable, readable, 100.0)
                add(table, attack, "true class restored", n["readable restored"], readable, 100.0)
        for title in CLASSIFIERS.values():
            for attack in (*ATTACKS, ADAPTIVE, f"{ADAPTIVE} knowing"):
                n = totals[f"{title}, {attack}"]
                table, shown = f"Not in the paper: {title}", attack.replace(" knowing", ", known to the attacker")
                add(table, shown, "recognized images that are fooled", n["fooled"], n["right"])
                add(table, shown, "of these flagged by the masks", n["flagged"], n["fooled"])
                add(table, shown, "of these flagged by feature squeezing", n["squeezed"], n["fooled"])
                add(table, shown, "fooled and unnoticed by the masks", n["fooled"] - n["flagged"], n["right"])
        return rows

    def report(self, rows: list[Row], n_images: int, seed: int) -> str:
        card = masks.card(masks.find(self.domain, self.kind, BETA))
        parts = [
            f"## {self.title}\n\n{n_images} test images of CIFAR-10, seed {seed}; the images that f1 knows and that fool it after 8-bit "
            f"rounding, and as many clean ones; 95 % intervals (Wilson).\nAttacks, L∞ at 8/255: "
            + "; ".join(attack.describe() for attack in (*ATTACKS.values(), PGD(eps=EPS)))
            + f". Masks: {self.kind}, β {BETA:g}, made by {card.trained_against}'s network for both classifiers; "
            f"f2 reads {100 * card.metrics[0].value:.1f} % of the clean test masks right.\nPublished: {self.published}\n"
        ]
        for table in dict.fromkeys(row.labels["table"] for row in rows):
            section = as_table([row for row in rows if row.labels["table"] == table])
            for line in section:
                del line["table"]
            parts.append(f"### {table}\n\n{markdown(section)}")
        return "\n".join(parts)


class ConvolutionalMaskTables(MaskTables):
    """The same tables with our convolutional masks."""

    name: ClassVar[str] = "lan-conv"
    title: ClassVar[str] = "Our convolutional attention masks as a detector on CIFAR-10 (LAN, tables 1 to 4)"
    kind: ClassVar[masks.Kind] = "conv"


class FlowTable(CountTable):
    """stAdv with a bounded and with a weighted total variation, against model A of Hao et al. 2019."""

    name: ClassVar[str] = "stadv"
    title: ClassVar[str] = "stAdv on MNIST"
    domain: ClassVar[str] = "mnist"
    classifier: ClassVar[str] = "a"
    published: ClassVar[str] = (
        "stAdv with its total variation bounded by 7.0 fooled about 380 of 1,000 MNIST images: 62 % still right, on a plain "
        "two-layer network (LAN/CERT). Ours is model A, a convolutional network; another network is another number."
    )

    def counted_rows(self, classifier: Classifier, seed: int) -> list[CountedRow]:
        bounded = StAdv(constraint="bounded", max_tv=7.0, tau=0.02, iterations=200, binary_search_steps=6)
        weighted = StAdv(tau=0.02, iterations=200, binary_search_steps=6)
        return [
            CountedRow("no attack", _clean(classifier), {CORRECT: 98.0}),
            CountedRow("bounded by 7.0", _moved(classifier, bounded), {CORRECT: 62.0}),
            CountedRow("weighted, τ searched", _moved(classifier, weighted)),
        ]


def _clean(classifier: Classifier) -> CountFunction:
    """Counts the clean images that are right."""

    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        with torch.no_grad():
            correct = classifier(quantise(x)).argmax(1) == y
        return {CORRECT: correct, FOOLED: torch.zeros_like(correct)}

    return count


def _moved(classifier: Classifier, attack: StAdv) -> CountFunction:
    """Counts the attacked images that are right, and those that are fooled by a flow of small total variation."""

    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        result = attack(classifier, x, y, generator=generator)
        small = variation(result.extras["flow"]) <= 7 * (1 + 1e-4)
        return {CORRECT: result.logits.argmax(1) == y, FOOLED: result.success & small}

    return count


def _oblivious(
    detector: MaskDisagreement, squeezing: FeatureSqueezing, threshold: float, attack: Attack
) -> CountFunction:
    """Counts after an attack by an attacker who does not know the detector."""

    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        attacked = attack(detector.classifier, x, y, generator=generator).images
        return _counts(detector, squeezing, threshold, x, attacked, y)

    return count


def _adaptive(
    detector: MaskDisagreement, squeezing: FeatureSqueezing, threshold: float, attack: Attack
) -> CountFunction:
    """Counts after an attack on both the classifier and the detector."""

    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        with torch.no_grad():
            correct = detector.classifier(x).argmax(1) == y
        attacked = x.clone()
        if bool(correct.any()):
            seed = int(torch.randint(2**31, (1,), generator=generator))
            attacked[correct] = adaptive_attack(
                detector, detector.default_threshold or 0.0, attack, x[correct], y[correct], seed
            ).images
        return _counts(detector, squeezing, threshold, x, attacked, y)

    return count


@torch.no_grad()
def _counts(
    detector: MaskDisagreement,
    squeezing: FeatureSqueezing,
    threshold: float,
    clean: Tensor,
    attacked: Tensor,
    labels: Tensor,
) -> dict[str, Tensor]:
    """Which images of a batch count, bool N by what is counted."""
    clean, attacked = quantise(clean), quantise(attacked)
    predicted, predicted_attacked = (detector.classifier(images).argmax(1) for images in (clean, attacked))
    read, read_attacked = (detector.corrected_label(images) for images in (clean, attacked))
    right = predicted == labels
    fooled = right & (predicted_attacked != labels)
    readable = fooled & (read == labels)
    return {
        "right": right,
        "fooled": fooled,
        "kept": fooled & (read_attacked == read),
        "flagged": fooled & (read_attacked != predicted_attacked),
        "silent": fooled & (read == predicted),
        "readable": readable,
        "readable flagged": readable & (read_attacked != predicted_attacked),
        "readable restored": readable & (read_attacked == labels),
        "squeezed": fooled & (squeezing.score(attacked) > threshold),
    }


TABLES = (FlowTable(), MaskTables(), ConvolutionalMaskTables())
