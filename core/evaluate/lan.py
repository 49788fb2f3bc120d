"""Tables 1 to 4 of the latent attention network as a defense (Nguyen 2018, section 3.3), and what an attacker does who knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from core import domains
from core.attacks import CW, FGSM, JSMA, PGD, Attack
from core.evaluate.detection import FeatureSqueezing, MaskDisagreement
from core.evaluate.papers import Count, Line, Reproduction, Watch
from core.evaluate.share import Share
from core.evaluate.tables import Row, markdown
from core.evaluate.trial import attack_both
from core.explain import masks
from core.images import quantise
from core.models.classifier import Classifier

EPS = 8 / 255
BETA = 3.0
ATTACKS: dict[str, Attack] = {"FGSM": FGSM(eps=EPS), "JSMA": JSMA(), "C&W": CW()}
KNOWING = "PGD"
VICTIMS = {"alexnet": "AlexNet", "vgg": "VGG-like"}
CALIBRATION = 1000  # training pictures on which feature squeezing's threshold is chosen

# Published shares: masks that keep their class (table 1); true positives and true negatives (tables 2 and 3); table 4 is all 1.
KEPT = {"FGSM": 0.863, "JSMA": 0.878, "C&W": 0.997}
FLAGGED = {
    "alexnet": {"FGSM": (0.878, 0.614), "JSMA": (0.960, 0.614), "C&W": (0.860, 0.614)},
    "vgg": {"FGSM": (0.843, 0.665), "JSMA": (0.853, 0.647), "C&W": (0.917, 0.750)},
}


class MaskTables(Reproduction):
    """f2 reads the attention mask and f1 the picture; where they disagree, the picture counts as adversarial."""

    name: ClassVar[str] = "lan"
    title: ClassVar[str] = "Attention masks as a detector on CIFAR-10 (LAN, tables 1 to 4)"
    domain: ClassVar[str] = "cifar10"
    classifier: ClassVar[str] = "alexnet"
    pictures: ClassVar[int] = 1000
    published: ClassVar[str] = (
        "on 10,000 CIFAR-10 test pictures, with eps, JSMA's and C&W's settings unnamed; f1 82 % and f2 60 % right on clean pictures."
    )
    kind: ClassVar[masks.Kind] = "fc"

    def lines(self, classifier: Classifier, seed: int, watch: Watch | None) -> list[Line]:
        domain = domains.get(self.domain)
        place = str(classifier.device)
        attention = masks.load(masks.find(self.domain, self.kind, BETA), place)
        calm, _ = domain.sample(CALIBRATION, split="train", seed=seed)
        found = []
        for name, title in VICTIMS.items():
            victim = classifier if name == classifier.name else domain.classifier(name, place)
            detector, squeezing = MaskDisagreement(victim, attention), FeatureSqueezing(victim)
            limit = squeezing.threshold(calm)
            for word, attack in {**ATTACKS, KNOWING: PGD(eps=EPS)}.items():
                count = _oblivious(detector, squeezing, limit, attack)
                found.append(Line(f"{title}, {word}", None, count))
            found.append(Line(f"{title}, {KNOWING} knowing", None, _knowing(detector, squeezing, limit, PGD(eps=EPS))))
        return found

    def rows(self, lines: list[Line], totals: Mapping[str, Mapping[str, int]]) -> list[Row]:
        rows: list[Row] = []

        def put(table: str, attack: str, hits: int, count: int, published: float | None, what: str) -> None:
            told = "" if published is None else f"{published:.1%}"
            rows.append(
                {"table": table, "attack": attack, "": what, "measured": str(Share(hits, count)), "published": told}
            )

        for word in ATTACKS:
            t = totals[f"AlexNet, {word}"]
            put(
                "1: masks that keep their class",
                word,
                t["kept"],
                t["fooled"],
                KEPT[word],
                "masks that keep their class",
            )
        for number, (name, title) in enumerate(VICTIMS.items(), start=2):
            for word in ATTACKS:
                t = totals[f"{title}, {word}"]
                for what, hits, told in zip(
                    ("true positive", "true negative"), (t["flagged"], t["silent"]), FLAGGED[name][word], strict=True
                ):
                    put(f"{number}: {title}", word, hits, t["fooled"], told, what)
        for title in VICTIMS.values():
            for word in ATTACKS:
                t = totals[f"{title}, {word}"]
                table = f"4: {title}, only pictures whose clean mask is read right"
                put(table, word, t["readable flagged"], t["readable"], 1.0, "true positive")
                put(table, word, t["readable"], t["readable"], 1.0, "true negative (by the choice of pictures)")
                put(table, word, t["readable restored"], t["readable"], 1.0, "true class restored")
        for title in VICTIMS.values():
            for word in (*ATTACKS, KNOWING, f"{KNOWING} knowing"):
                t = totals[f"{title}, {word}"]
                table = f"Not in the paper: {title}"
                said = word.replace(" knowing", ", known to the attacker")
                put(table, said, t["fooled"], t["right"], None, "recognised pictures that are fooled")
                put(table, said, t["flagged"], t["fooled"], None, "of these flagged by the masks")
                put(table, said, t["squeezed"], t["fooled"], None, "of these flagged by feature squeezing")
                put(table, said, t["fooled"] - t["flagged"], t["right"], None, "fooled and unnoticed by the masks")
        return rows

    def report(self, rows: list[Row], count: int, seed: int) -> str:
        about = masks.card(masks.find(self.domain, self.kind, BETA))
        parts = [
            f"## {self.title}\n\n{count} test pictures of CIFAR-10, seed {seed}; the pictures that f1 knows and that fool it after 8-bit "
            f"rounding, and as many clean ones; 95 % intervals (Wilson).\nAttacks, L∞ at 8/255: "
            + "; ".join(attack.described() for attack in (*ATTACKS.values(), PGD(eps=EPS)))
            + f". Masks: {self.kind}, β {BETA:g}, made by {about.trained_against}'s network for both classifiers; "
            f"f2 reads {about.metrics[0].value:.1%} of the clean test masks right.\nPublished: {self.published}\n"
        ]
        for table in dict.fromkeys(str(row["table"]) for row in rows):
            chosen = [{k: v for k, v in row.items() if k != "table"} for row in rows if row["table"] == table]
            parts.append(f"### {table}\n\n{markdown(chosen)}")
        return "\n".join(parts)


class ConvolutionalMaskTables(MaskTables):
    """The same tables with our convolutional masks."""

    name: ClassVar[str] = "lan-conv"
    title: ClassVar[str] = "Our convolutional attention masks as a detector on CIFAR-10 (LAN, tables 1 to 4)"
    kind: ClassVar[masks.Kind] = "conv"


def _oblivious(detector: MaskDisagreement, squeezing: FeatureSqueezing, limit: float, attack: Attack) -> Count:
    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        return _told(detector, squeezing, limit, x, attack(detector.classifier, x, y, generator=generator).images, y)

    return count


def _knowing(detector: MaskDisagreement, squeezing: FeatureSqueezing, limit: float, attack: Attack) -> Count:
    def count(x: Tensor, y: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        with torch.no_grad():
            known = detector.classifier(x).argmax(1) == y
        attacked = x.clone()
        if bool(known.any()):
            seed = int(torch.randint(2**31, (1,), generator=generator))
            attacked[known] = attack_both(detector, detector.rule or 0.0, attack, x[known], y[known], seed).images
        return _told(detector, squeezing, limit, x, attacked, y)

    return count


@torch.no_grad()
def _told(
    detector: MaskDisagreement,
    squeezing: FeatureSqueezing,
    limit: float,
    clean: Tensor,
    attacked: Tensor,
    labels: Tensor,
) -> dict[str, Tensor]:
    """What there is to count of a batch of pictures, each word a bool N."""
    clean, attacked = quantise(clean), quantise(attacked)
    before, after = (detector.classifier(images).argmax(1) for images in (clean, attacked))
    read, reread = (detector.restored(images) for images in (clean, attacked))
    right = before == labels
    fooled = right & (after != labels)
    readable = fooled & (read == labels)
    return {
        "right": right,
        "fooled": fooled,
        "kept": fooled & (reread == read),
        "flagged": fooled & (reread != after),
        "silent": fooled & (read == before),
        "readable": readable,
        "readable flagged": readable & (reread != after),
        "readable restored": readable & (reread == labels),
        "squeezed": fooled & (squeezing.score(attacked) > limit),
    }
