"""Certificates of a network against changes of every value by at most eps."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.certify.base import Certificate, Certified, Run
from core.certify.chain import chain_of
from core.certify.crown import MARGINS
from core.certify.interval import image_box
from core.declaration import FractionFloat, choice, flag, number
from core.inputs import InvalidInput
from core.models.classifier import Classifier

BATCH = {"interval": 32, "crown": 4, "best": 4}  # images bounded together
STEPS = {"interval": 16, "crown": 5, "best": 5}  # halvings of the gap around the radius

Bound = Callable[[Tensor], Tensor]  # from eps, N, to margins, N


class LinfCertificate(Certificate):
    """Lower bounds of the margin in an L∞ ball, by intervals (Gowal et al. 2018) or by linear bounds (Zhang et al. 2018).

    It holds for the network in exact arithmetic; it is worked out in float64, whose rounding is not bounded. The ball is cut to images
    in [0, 1]. Margin and radius speak of the class that the classifier sees. `radius` is a certified eps; it is too small by at most
    one part in 2^5 of itself (2^16 for intervals), since the gap to the first eps without a certificate is halved that often.
    """

    name: ClassVar[str] = "linf"
    title: ClassVar[str] = "L∞ bounds"
    summary: ClassVar[str] = "Bounds that go through the layers: fast intervals, or tighter linear bounds."
    paper: ClassVar[str] = "Gowal et al. 2018, equations 6 and 7; Zhang et al. 2018, theorem 3.2"
    threat_model: ClassVar[str] = "Each value of the image changes by at most ε and stays in [0, 1]."
    unit: ClassVar[str] = "L∞"

    eps: FractionFloat = number(
        1 / 255, 0, 1, help="The radius of the ball around the image.", step=1 / 255, slider_max=32 / 255, unit="/255"
    )
    bound: Literal["interval", "crown", "best"] = choice(
        "best", help="Intervals, linear bounds (CROWN), or the larger of the two for each class."
    )
    find_radius: bool = flag(True, help="Work out the largest certified eps of each image, too.")

    @classmethod
    def fits(cls, classifier: Classifier) -> str | None:
        try:
            chain_of(classifier)
        except InvalidInput as error:
            return str(error)
        return None

    def certify(self, classifier: Classifier, images: Tensor, labels: Tensor, run: Run) -> Certified | None:
        chain = chain_of(classifier)
        bounded = MARGINS[self.bound]
        predicted, margins, radii = [], [], []
        for start in range(0, len(images), BATCH[self.bound]):
            part = images[start : start + BATCH[self.bound]].to(classifier.device)

            def report(share: float, start: int = start, count: int = len(part)) -> bool:
                done = int(100 * (start + share * count))
                return run.stopped(done, 100 * len(images))

            with torch.no_grad():
                seen = classifier(part).argmax(1)

            @torch.no_grad()
            def bound(eps: Tensor, part: Tensor = part, seen: Tensor = seen) -> Tensor:
                class_margins = bounded(chain, image_box(part, eps), seen)
                return class_margins.scatter(1, seen[:, None], torch.inf).amin(1)

            if report(0.0):
                return None
            eps = torch.full((len(part),), self.eps, dtype=torch.float64, device=part.device)
            margin = bound(eps)
            radius = torch.full_like(margin, torch.nan)
            if self.find_radius:
                certified_radius = _radius(bound, eps, margin > 0, STEPS[self.bound], report)
                if certified_radius is None:
                    return None
                radius = certified_radius
            predicted.append(seen)
            margins.append(margin)
            radii.append(radius)
        sees, margin = torch.cat(predicted).cpu(), torch.cat(margins).cpu()
        return Certified(
            predicted=sees,
            certified=(sees == labels.cpu()) & (margin > 0),
            margin=margin,
            radius=torch.cat(radii).cpu(),
            unit=self.unit,
        )


def _radius(bound: Bound, eps: Tensor, certified: Tensor, steps: int, report: Callable[[float], bool]) -> Tensor | None:
    """A certified eps of each image near the largest one, 0 where there is none; None where `report` stopped it.

    Args:
        eps: N, of which `certified` says where the bound holds; the search begins there.
    """
    low = torch.where(certified, eps, 0.0)
    high = torch.where(certified, 1.0, eps)
    begun = low.new_zeros(len(low), dtype=torch.bool)  # whether `high` is an eps that failed
    begun |= ~certified
    smallest = 1 / 4096
    total = steps + 24
    for step in range(total):
        if report(min(1.0, step / (steps + 8))):  # it rarely takes more
            return None
        # Outward in doublings, inward in quarters until some eps holds, then halves of the gap.
        outward = (2 * low).clamp(smallest, 1.0)
        inward = high / 4
        middle = torch.where(begun, torch.where(low > 0, (low + high) / 2, inward), outward)
        done = torch.where(low > 0, (high - low) <= low * 2.0**-steps, high <= smallest / 1024) | (low >= 1)
        if bool(done.all()):
            break
        middle = torch.where(done, low, middle)
        holds = bound(middle) > 0
        low = torch.where(holds & ~done, middle, low)
        high = torch.where(~holds & ~done, middle, high)
        begun |= ~holds & ~done
    return low
