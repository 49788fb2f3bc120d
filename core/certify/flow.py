"""The certificate of a two-layer network against flows of bounded total variation."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.cancellation import check
from core.certify import two_layer
from core.certify.base import Certificate, Certified, Run
from core.certify.flow_sdp import change_per_unit, exact_changes
from core.certify.flow_sets import ChangeSet, JointSet, local_box, paper_box
from core.certify.relaxation import lower_margins, other_classes
from core.certify.two_layer import TwoLayer
from core.declaration import FractionFloat, choice, flag, number
from core.inputs import owned
from core.models.classifier import Classifier

UNIT = "total variation in pixels"
MAX_EPS = 1000.0
BATCH = 100  # images together: their relaxed networks take 10 × hidden units × pixels of 8 bytes each
HALVINGS = 12  # of the interval in which the radius lies


class FlowCertificate(Certificate):
    """Bounds the margin of a two-layer network under all flows of total variation at most ε (after LAN, equations 10-13).

    The network's hidden units are relaxed to lines over the interval that the flows leave them (`relaxation`), once for each set that
    holds all that flows make of the image (`flow_sets`). Margins are worked out in float64, before 8-bit rounding.
    """

    name: ClassVar[str] = "flow"
    title: ClassVar[str] = "Flow certificate"
    summary: ClassVar[str] = "What no flow of bounded total variation can change, for a two-layer network."
    paper: ClassVar[str] = "LAN, equations 10-13; Zhang et al. 2018, CROWN"
    threat_model: ClassVar[str] = (
        "Flows that move pixels (bilinear sampling), zero outside the image, whose total variation is at most ε: the sum over pairs of "
        "neighbors of the length of the flow's difference, each pair once, the pairs across the border included."
    )

    eps: FractionFloat = number(
        7.0, 0, MAX_EPS, help="The largest total variation of the flow.", step=0.5, slider_max=56, unit=" px"
    )
    bound: Literal["best", "joint", "local box", "paper box", "paper", "exact"] = choice(
        "best",
        help="Joint: all pixels share the budget. Local box: each pixel alone, from its neighborhood. Paper box: each pixel alone, the "
        "same for all images. Paper: that box and the semidefinite bound. Exact: the same by a convex solver, for small ones. Best: the "
        "highest of the joint bound and the local box.",
    )
    find_radius: bool = flag(
        True, help="Work out the largest certified total variation of each image; twelve times the work."
    )

    @classmethod
    def fits(cls, classifier: Classifier) -> str | None:
        return two_layer.why_not(classifier)

    def certify(self, classifier: Classifier, images: Tensor, labels: Tensor, run: Run) -> Certified | None:
        network = two_layer.two_layer(classifier)
        home, n = images.device, len(images)
        images = owned(images, classifier.device, torch.float64).clamp(0, 1)
        labels = owned(labels, classifier.device, torch.int64)
        rows = []
        with torch.no_grad():
            for start in range(0, n, BATCH):
                if run.stopped(start, n):
                    return None
                part = slice(start, start + BATCH)
                rows.append(self._part(network, images[part], labels[part]))
        predicted, certified, margin, radius = (torch.cat(column).to(home) for column in zip(*rows, strict=True))
        return Certified(predicted, certified, margin, radius, UNIT)

    def _part(self, network: TwoLayer, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The predicted classes, which are certified, the margins and the radii, N each."""
        predicted = network.logits(images).argmax(1)
        correct = predicted == labels
        margin = self.margin(network, images, predicted, images.new_full((len(images),), self.eps))
        radius = torch.full_like(margin, torch.nan)
        if self.find_radius:
            radius = torch.zeros_like(margin)
            if bool(correct.any()):
                radius[correct] = self._radius(network, images[correct], predicted[correct])
        return predicted, correct & (margin > 0), margin, radius

    def margin(self, network: TwoLayer, images: Tensor, classes: Tensor, eps: Tensor) -> Tensor:
        """A lower bound of the smallest margin of `classes` N under all flows of total variation at most `eps` N, N."""
        others = other_classes(classes, len(network.second))
        if self.bound in ("paper", "exact"):
            logits = network.logits(images)
            change = change_per_unit(network) if self.bound == "paper" else exact_changes(network, classes)
            clean = logits.gather(1, classes[:, None]) - logits.gather(1, others)
            return (clean - eps[:, None] * change[classes[:, None], others]).amin(1)
        sets = self._sets(images, eps)
        margins = [lower_margins(network, images, classes, others, changes).amin(1) for changes in sets]
        return torch.stack(margins).amax(0)

    def _sets(self, images: Tensor, eps: Tensor) -> list[ChangeSet]:
        sets: list[ChangeSet] = []
        if self.bound in ("best", "joint"):
            sets.append(JointSet(images, eps))
        if self.bound in ("best", "local box"):
            sets.append(local_box(images, eps))
        if self.bound == "paper box":  # the local box lies within it
            sets.append(paper_box(images, eps))
        return sets

    def _radius(self, network: TwoLayer, images: Tensor, classes: Tensor) -> Tensor:
        """The largest ε known to be certified, N; each value that is returned was certified itself."""
        low = images.new_zeros(len(images))
        high = torch.full_like(low, 64.0)
        for _ in range(HALVINGS):
            check()
            # The square of the middle of the roots: small radii are found as exactly as they need.
            middle = ((low.sqrt() + high.sqrt()) / 2).square()
            safe = self.margin(network, images, classes, middle) > 0
            low, high = torch.where(safe, middle, low), torch.where(safe, high, middle)
        return low
