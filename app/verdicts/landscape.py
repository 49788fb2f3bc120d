"""What Landscape says: of the loss surface, of the decision regions and of the spectrum."""

from __future__ import annotations

import numpy as np

from app.text import a, budget, named, per_cent
from core.analysis.landscape import Regions
from core.explain.landscape import Grid
from core.recipe import AttackOutcome, Prediction


def surface_verdict(grid: Grid, classes: tuple[str, ...], label: int, known: bool = True, unit: str = "/255") -> str:
    """Where along the gradient the class is lost first, and the loss at the image, there and at the end of the line.

    Steps are counted from the image, which is the middle of the grid, toward a growing loss; `unit` is the domain's.
    """
    row, column = int(np.abs(grid.down).argmin()), int(np.abs(grid.across).argmin())
    line, steps = grid.loss[row, column:], grid.across[column:]
    gone = np.flatnonzero(grid.predicted[row, column:] != label)
    name, end = named(classes, label, known), budget(float(steps[-1]), unit)
    aside = f"In the random direction it is at most {_loss(grid.loss[:, column].max())}."
    if not len(gone):
        losses = f"the loss is {_loss(line[0])} at the image and {_loss(line[-1])} there"
        return f"Along the gradient the {name} stays up to {end}: {losses}. {aside}"
    if gone[0] == 0:
        return (
            f"The {name} is not recognized to begin with: the loss is {_loss(line[0])} at the image and, along the gradient, "
            f"{_loss(line[-1])} at {end}. {aside}"
        )
    there, last = int(gone[0]), len(line) - 1
    further = "" if there == last else f" and {_loss(line[-1])} at {end}"
    return (
        f"Along the gradient the {name} is first lost at {budget(float(steps[there]), unit)}: the loss is {_loss(line[0])} at the image, "
        f"{_loss(line[there])} there{further}. {aside}"
    )


def _loss(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def regions_verdict(result: Regions, attacked: AttackOutcome, before: Prediction, classes: tuple[str, ...]) -> str:
    """How far the attack went and to what, how far the third image is, and how many classes lie on their plane."""
    (_, _), (far, _), (along, aside) = result.plane.places
    seen = len(np.unique(result.grid.predicted))
    predicted = a(classes[attacked.prediction.label])
    went = f"The attack went {far:.2g} (L2)"
    went += (
        f" and is still seen as {predicted}"
        if attacked.prediction.label == before.label
        else f" and is seen as {predicted}"
    )
    lie = f"{seen} {'class lies' if seen == 1 else 'classes lie'} on this plane."
    distance = f"{float(np.hypot(along, aside)):.2g}"
    if result.third_title in classes:
        return f"{went}; the image of {a(result.third_title)} is {distance} away from the clean one. {lie}"
    return f"{went}; the plane goes through a random change of {distance}, too. {lie}"


UNCHANGED = "The attack changed nothing: there is no plane through the clean and the adversarial image."


def spectrum_verdict(change: float | None, image: float | None) -> str:
    """How much of the change and of the image lies in high frequencies; None where there is nothing to take a share of."""
    if change is None:
        return "The attack changed nothing, so there is no spectrum of the change."
    own = "the image itself is flat" if image is None else f"of the image it is {per_cent(image)}"
    return f"{per_cent(change)} of the change lies above a quarter of a cycle a pixel; {own}."
