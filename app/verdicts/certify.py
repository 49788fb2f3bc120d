"""What Certify says of one image and of a set."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from app.text import a, budget, count_of
from core.certify import Certificate
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.certification_report import known_radius


def certify_verdict(
    result: CertifiedImage, smoothed: bool, classes: tuple[str, ...], label: int, known: bool, unit: str
) -> str:
    """The certified radius and the smallest budget at which an attack succeeds.

    Args:
        smoothed: whether the promise is about the classifier under noise.
        label: the true class; where it is not `known`, the prediction of the clean image.
        unit: in which a budget is written.
    """
    who = "The smoothed classifier" if smoothed else "The classifier"
    if result.predicted < 0:
        return f"{who} abstains: no class is sure to be the likeliest under this noise."
    name = classes[result.predicted]
    if result.predicted != label and not known:
        return f"{who} sees {a(name)}, and without noise {a(classes[label])}. The true class is unknown, so nothing is certified."
    if result.predicted != label:
        return f"{who} is wrong without any attack: it sees {a(name)}, not {a(classes[label])}. Nothing is certified."
    broken = next((eps for eps, margin in zip(result.budgets, result.attacked, strict=False) if margin <= 0), None)
    attack = "" if broken is None else f" An attack of at most {budget(float(broken), unit)} changes it."
    if broken is None and len(result.attacked) and result.budgets[-1] > 0:
        attack = f" No attack tried up to {budget(float(result.budgets[-1]), unit)} changes it."
    if isnan(result.radius):
        radius, least = known_radius(result), "at least "
        if radius <= 0 and len(result.budgets) > 1:  # only these budgets were looked at
            return f"{a(name)[:1].upper()}{a(name)[1:]} is not certified at {budget(float(result.budgets[1]), unit)}.{attack}"
    else:
        radius, least = result.radius, ""
    if radius <= 0:
        return f"No radius is certified for {a(name)}.{attack}"
    return (
        f"{a(name)[:1].upper()}{a(name)[1:]} is certified up to {least}{budget(radius, unit)} ({result.unit}).{attack}"
    )


def promise_text(result: CertifiedImage | None, certificate: Certificate, title: str, label: int, unit: str) -> str:
    """What the certificate promises of this image, and what it does not.

    Args:
        result: None before it is known; then the threat model stands there.
        title: of the classifier.
        label: as in `certify_verdict`.
    """
    radius = 0.0 if result is None or result.predicted != label else known_radius(result)
    if result is None:
        words = f"The threat model: {certificate.threat_model} "
    elif radius <= 0:
        words = f"Nothing is promised for this image. The threat model: {certificate.threat_model} "
    else:
        words = (
            f"Promised: no change inside the threat model takes the class away, for ε up to {budget(radius, unit)}. "
            f"{certificate.threat_model} "
        )
    alpha = certificate.values().get("alpha")
    if alpha is None:
        words += "It holds for the network in exact arithmetic. "
    else:
        words += (
            f"The promise is about the smoothed classifier, the likeliest class under noise, not about {title} without noise; it is wrong "
            f"for an image with a probability of at most {alpha:g}. "
        )
    words += "Not promised: anything about other changes, such as a patch, a rotation or a larger budget, or that the class is true."
    if result is not None and len(result.attacked):
        words += (
            " An image that is not certified need not be attackable: between bound and best attack nothing is known."
        )
    return words


def certified_set_verdict(result: CertifiedSet, unit: str, beside: Sequence[CertifiedSet] = ()) -> str:
    """Certified and attacked accuracy at the budget that `told_place` names."""
    place = result.told_place(beside)
    eps, share = budget(float(result.budgets[place]), unit), result.certified[place]
    words = f"{count_of(share.successes, share.count)} images are certified at {eps} ({result.unit})"
    if result.attacked:
        left = result.attacked[place]
        words += f"; under attack {count_of(left.successes, left.count)} stay right"
    if result.abstained:
        words += f"; it abstains on {result.abstained}"
    return f"{words}."
