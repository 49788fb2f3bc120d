"""What certificates promise of an image and of a set, as text and rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from core.certify import Certificate
from core.declaration import Parameter, format_value
from core.evaluate.certification import CertifiedImage, CertifiedSet
from core.evaluate.tables import Row, markdown


def known_radius(result: CertifiedImage) -> float:
    """The certified radius, or the largest budget tried whose bound is above 0; 0 where nothing is certified."""
    if not isnan(result.radius):
        return result.radius
    return max((float(eps) for eps in result.budgets[result.best_bound > 0]), default=0.0) if result.bounds else 0.0


def set_rows(result: CertifiedSet, unit: str) -> list[Row]:
    """A row per budget, written in that unit: the certified share, and the one that stays right where there are attacks."""
    rows: list[Row] = []
    for number, (eps, share) in enumerate(zip(result.budgets, result.certified, strict=True)):
        row: Row = {f"ε, {result.unit}": format_value(float(eps), unit), "certified": str(share)}
        rows.append({**row, "right under attack": str(result.attacked[number])} if result.attacked else row)
    return rows


def image_rows(result: CertifiedImage, unit: str, classes: Sequence[str]) -> list[Row]:
    """A row per budget: lower bounds of the margin and the smallest margin under attack; for no budgets, one with the radius."""
    if not len(result.budgets):
        name = "–" if result.predicted < 0 else classes[result.predicted]
        return [{"class": name, f"certified radius, {result.unit}": format_value(result.radius, unit)}]
    columns = dict(result.bounds) if len(result.bounds) > 1 else {}
    if result.bounds:
        columns["best bound"] = result.best_bound
    if len(result.attacked):
        columns["best attacked margin"] = result.attacked
    return [
        {
            f"ε, {result.unit}": format_value(float(eps), unit),
            **{name: float(f"{values[number]:.4g}") for name, values in columns.items()},
        }
        for number, eps in enumerate(result.budgets)
    ]


def set_sentence(result: CertifiedSet, unit: str) -> str:
    """How many images are certified and stay right at the budget that `told_place` names."""
    place = result.told_place()
    share, eps = result.certified[place], format_value(float(result.budgets[place]), unit)
    text = f"At ε {eps} ({result.unit}), {share.successes} of {share.count} images are certified"
    if result.attacked:
        left = result.attacked[place].successes
        text += f", and {left} stay right under attack"
        if left > share.successes:
            text += f"; of the {left - share.successes} between, nothing is known"
    if result.abstained:
        text += f"; the certificate abstains on {result.abstained}"
    return f"{text}."


def image_sentence(result: CertifiedImage, unit: str, classes: Sequence[str], label: int | None) -> str:
    """The class, its certified radius, and the smallest budget at which an attack changes it.

    Args:
        label: the true class; None where it is unknown.
    """
    if result.predicted < 0:
        return "The certificate abstains: no class is sure to be the likeliest one under noise."
    name = repr(classes[result.predicted])
    if label is not None and result.predicted != label:
        return f"The class is {name}, and the true one is {classes[label]!r}: wrong without an attack, so nothing is certified."
    true = "the true class is unknown" if label is None else "the true one"
    radius, least = result.radius, ""
    if isnan(radius) and result.bounds:
        radius, least = known_radius(result), "at least "
    if isnan(radius):
        certified = "the certificate works out no radius"
    else:
        certified = (
            f"certified up to {least}ε {format_value(radius, unit)} ({result.unit})"
            if radius > 0
            else "no ε is certified"
        )
    text = f"The class is {name} ({true}); {certified}."
    if len(result.attacked):
        changed = [eps for eps, margin in zip(result.budgets, result.attacked, strict=True) if margin <= 0]
        eps = format_value(float(changed[0] if changed else result.budgets[-1]), unit)
        text += f" An attack at ε {eps} changes it." if changed else f" No attack tried up to ε {eps} changes it."
    return text


def report(
    certificate: Certificate,
    parameters: tuple[Parameter, ...],
    classifier: str,
    images: Sequence[str],
    attacks: str,
    rows: Sequence[Row],
    sentence: str,
) -> str:
    """The whole of it as Markdown.

    Args:
        parameters: the certificate's, with the defaults and units of a domain.
        classifier: its title.
        images: what there is to say about the images, a line each.
        attacks: titles of those that were run; empty for none.
    """
    lines = [
        f"Certificate: {certificate.describe(parameters)}. {certificate.paper}.",
        f"Threat model: {certificate.threat_model}",
        *images,
        f"Attacks of the same threat model, white box: {attacks or 'none'}.",
    ]
    if certificate.subject:
        lines.append(f"The promise is about {certificate.subject}.")
    points = "".join(f"- {line}\n" for line in lines)
    return f"# {certificate.title}: {classifier}\n\n{points}\n{markdown(rows)}\n{sentence}\n"
