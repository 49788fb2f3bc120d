"""What certificates promise of an image and of a set, beside what the best attack of the same threat model reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.attacks import APGDCE, PGD, Attack, BoundedFlow
from core.certify import Certificate, Certified
from core.evaluate.proportion import Proportion
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress

Values = npt.NDArray[np.float64]
POINTS, SET_POINTS = 9, 6  # budgets of a curve from 0 to the certificate's own, of one image and of a set
ACRONYMS = {"crown": "CROWN"}
ATTACKS: dict[
    str, Callable[[float], tuple[Attack, ...]]
] = {  # by the unit of the budget: attacks of the same threat model
    "L∞": lambda eps: (APGDCE(eps=eps, iterations=30), PGD(eps=eps, iterations=20, loss="margin")),
    "total variation in pixels": lambda eps: (BoundedFlow(max_tv=eps, restarts=2, early_stop=False),),
}


@dataclass(frozen=True)
class CertifiedImage:
    """What a certificate promises of one image.

    Attributes:
        predicted: the class that it speaks of; -1 where it abstains.
        radius: the largest certified budget, NaN where none is worked out.
        unit: of budgets and radius.
        budgets: from 0 to the certificate's own, the radius among them; empty for a certificate without a budget.
        bounds: lower bounds of the margin at each budget, by the name of the bound.
        attacked: the smallest margin that the attacks reach at each budget or below; empty without attacks of that threat model.
        attacks: their titles.
        flow: of the attack at `flow_budget`, 2×H×W in pixels; None where the attacks move nothing.
        flow_budget: the smallest budget at which the class changes, else the largest.
    """

    predicted: int
    radius: float
    unit: str
    budgets: Values
    bounds: dict[str, Values]
    attacked: Values
    attacks: str
    flow: npt.NDArray[np.float32] | None = None
    flow_budget: float = 0.0

    @property
    def best_bound(self) -> Values:
        """The largest lower bound at each budget."""
        best: Values = np.max(list(self.bounds.values()), axis=0)
        return best


@dataclass(frozen=True)
class CertifiedSet:
    """What a certificate promises of N images.

    Attributes:
        budgets: from 0 to the certificate's own, or to the largest radius.
        certified: images whose true class is certified at each budget.
        attacked: images whose true class the attacks leave at each budget; empty without attacks of that threat model.
        abstained: images of which the certificate names no class.
    """

    unit: str
    budgets: Values
    certified: tuple[Proportion, ...]
    attacked: tuple[Proportion, ...]
    attacks: str
    abstained: int

    def told_place(self, beside: Sequence[CertifiedSet] = ()) -> int:
        """The budget that a sentence speaks of, by its place: the largest, and for a certificate without attacks half of that.

        Where other sets stand `beside` it, half of the smallest of their largest budgets, so that all sentences speak of one.
        """
        if self.attacked:
            return len(self.budgets) - 1
        half = min(float(certified_set.budgets[-1]) for certified_set in (self, *beside)) / 2
        return int(np.flatnonzero(self.budgets <= half + 1e-9)[-1])


def at(certificate: Certificate, **values: object) -> Certificate:
    """The certificate with those of the values that it has fields for."""
    known = {name: value for name, value in values.items() if name in type(certificate).model_fields}
    return certificate.model_copy(update=known)


def variants(certificate: Certificate) -> dict[str, Certificate]:
    """The certificate by its title; one whose `bound` is the best of several by the name of each, but for one that takes long."""
    choices = next((p.choices for p in certificate.parameters() if p.name == "bound"), ())
    if getattr(certificate, "bound", "") == "best":
        return {
            f"{ACRONYMS.get(name, name)} bound": at(certificate, bound=name)
            for name in choices
            if name not in ("best", "exact")
        }
    return {certificate.title: certificate}


def certify_image(
    certificate: Certificate,
    classifier: Classifier,
    image: Tensor,
    label: int,
    *,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> CertifiedImage | None:
    """The promise for one image 1×C×H×W of [0, 1]; None where `on_progress` stopped it.

    Raises:
        InvalidInput: the certificate is not for that classifier.
    """
    labels = torch.tensor([label])
    has_budget = "eps" in type(certificate).model_fields
    budgets = np.linspace(0, certificate.values()["eps"], POINTS) if has_budget else np.empty(0)
    curves = variants(certificate) if has_budget else {}
    steps = _Steps(1 + (len(budgets) + 1) * (len(curves) + 1), on_progress)

    promise = steps.run(certificate, classifier, image, labels, seed)
    if promise is None:
        return None
    radius = float(promise.radius[0])
    if has_budget and 0 < radius < budgets[-1]:
        budgets = np.unique([*budgets, radius])
    bounds: dict[str, Values] = {}
    for name, variant in curves.items():
        margins = []
        for eps in budgets:
            part = at(variant, eps=float(eps), find_radius=False)
            result = steps.run(part, classifier, image, labels, seed)
            if result is None:
                return None
            margins.append(float(result.margin[0]))
        if np.isfinite(margins).all():
            bounds[name] = np.array(margins)
    reached = _attacked(classifier, image, promise.predicted, promise.unit, budgets, seed, steps)
    if reached is None:
        return None
    attacked = reached.margins[0] if len(reached.margins) else np.empty(0)
    shown = next((place for place, margin in enumerate(attacked) if margin <= 0), len(attacked) - 1)
    flow = reached.flows[shown] if reached.flows else None
    return CertifiedImage(
        predicted=int(promise.predicted[0]),
        radius=radius,
        unit=promise.unit,
        budgets=budgets,
        bounds=bounds,
        attacked=attacked,
        attacks=_titles(promise.unit) if len(attacked) else "",
        flow=None if flow is None else flow[0].float().cpu().numpy(),
        flow_budget=float(budgets[shown]) if flow is not None else 0.0,
    )


def certify_set(
    certificate: Certificate,
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> CertifiedSet | None:
    """Certified and attacked accuracy of images N×C×H×W with labels int64 N; None where `on_progress` stopped it.

    Raises:
        InvalidInput: the certificate is not for that classifier.
    """
    if "eps" not in type(certificate).model_fields:
        steps = _Steps(1, on_progress)
        promise = steps.run(certificate, classifier, images, labels, seed)
        if promise is None:
            return None
        radius = torch.where(promise.certified, promise.radius, -1.0)
        budgets = np.linspace(0, max(float(radius.max()), 0.01), 4 * POINTS)
        certified = tuple(Proportion(int((radius >= float(eps)).sum()), len(labels)) for eps in budgets)
        return CertifiedSet(promise.unit, budgets, certified, (), "", int((promise.predicted < 0).sum()))
    budgets = np.linspace(0, certificate.values()["eps"], SET_POINTS)
    steps = _Steps(2 * len(budgets), on_progress)
    results: list[Certified] = []
    for eps in budgets:
        part = at(certificate, eps=float(eps), find_radius=False)
        result = steps.run(part, classifier, images, labels, seed)
        if result is None:
            return None
        results.append(result)
    reached = _attacked(classifier, images, labels, results[0].unit, budgets, seed, steps)
    if reached is None:
        return None
    attacked = reached.margins
    return CertifiedSet(
        unit=results[0].unit,
        budgets=budgets,
        certified=tuple(Proportion(int(result.certified.sum()), len(labels)) for result in results),
        attacked=tuple(Proportion(int(count), len(labels)) for count in (attacked > 0).sum(0)) if len(attacked) else (),
        attacks=_titles(results[0].unit) if len(attacked) else "",
        abstained=int((results[0].predicted < 0).sum()),
    )


@dataclass(frozen=True)
class _Reached:
    """What attacks reach.

    Attributes:
        margins: the smallest margin of each image at each budget or below, N×budgets; 0×0 without attacks of that unit.
        flows: at each budget that of the images with that margin, N×2×H×W, or None where it is no flow's; empty for many images.
    """

    margins: Values
    flows: list[Tensor | None]


def _attacked(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    unit: str,
    budgets: Sequence[float] | Values,
    seed: int,
    steps: _Steps,
) -> _Reached | None:
    """What the attacks of that unit make of the labels' classes; None where it was stopped.

    An attack at a small budget lies inside the larger balls, too.
    """
    if unit not in ATTACKS or not len(budgets) or bool((labels < 0).any()):
        return _Reached(np.empty((0, 0)), [])
    best, flow = np.full(len(images), inf), None
    rows, flows = [], []
    for eps in budgets:
        stopped = steps.report("Attacks")
        if stopped:
            return None
        points: list[tuple[Tensor, Tensor | None]] = [(images, None)]
        for attack in ATTACKS[unit](float(eps)) if eps else ():
            result = attack(classifier, images, labels, generator=_seeded(seed))
            moved = result.images.cpu()
            if unit == "L∞":  # float32 arithmetic may leave the ball by a rounding error
                moved = (images + (moved - images).clamp(-eps, eps)).clamp(0, 1)
            points.append((moved, result.extras.get("flow")))
        for point, moves in points:
            with torch.no_grad():
                logits = classifier(point.to(classifier.device)).double().cpu()
            own = logits.gather(1, labels[:, None])
            others = logits.scatter(1, labels[:, None], -inf).amax(1)
            margins = (own[:, 0] - others).numpy()
            if len(images) == 1 and margins[0] < best[0]:
                flow = moves
            best = np.minimum(best, margins)
        rows.append(best)
        if len(images) == 1:
            flows.append(flow)
        steps.done += 1
    return _Reached(np.stack(rows, 1), flows)


def _titles(unit: str) -> str:
    return " and ".join(attack.title for attack in ATTACKS[unit](0.1))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Steps:
    """Progress over parts that each report their own."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self.total, self.done, self.on_progress = total, 0, on_progress

    def run(
        self, certificate: Certificate, classifier: Classifier, images: Tensor, labels: Tensor, seed: int
    ) -> Certified | None:
        """One part; None where it was stopped."""

        def on_part(part: Progress) -> bool:
            return self.report(part.text, part.done / max(1, part.total))

        result = certificate(classifier, images, labels, generator=_seeded(seed), on_progress=on_part)
        self.done += 1
        return result

    def report(self, text: str, share: float = 0.0) -> bool:
        """Say how far all of it is; True where it shall stop."""
        if self.on_progress is None:
            return False
        return bool(self.on_progress(Progress(text, int(100 * (self.done + share)), 100 * self.total)))
