"""Several classifiers that vote, as one classifier."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import log

import torch
from torch import Tensor, nn

from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.models.copying import twin
from core.random_streams import AttackLooks


class Ensemble(Classifier):
    """Members whose scores are normalized to sum 1 and then added (Dornadula et al. 2018, section 4.4), as one classifier.

    The scores of a member are its softmax probabilities. The logits of the ensemble are the logarithms of the members' mean
    probabilities, so its softmax is that mean, and attacks differentiate the vote itself. An ensemble of one member answers with
    that member's own logits. `Guarded` members and ensembles may be members too.

    Args:
        members: one or more classifiers of the same classes, channels and input size, on one device.
        title: as on the screen; made of the members' titles unless given.

    Raises:
        InvalidInput: there is no member, or the members do not fit each other.
    """

    def __init__(self, members: Sequence[Classifier], *, title: str = "") -> None:
        nn.Module.__init__(self)
        members = tuple(members)
        if not members:
            raise InvalidInput("An ensemble needs at least one classifier.")
        first = members[0]
        for member in members:
            if not isinstance(member, Classifier):
                raise InvalidInput(
                    f"A member of an ensemble must be a Classifier; this is a {type(member).__name__}. Classifier.wrap makes one."
                )
            check_same_images(first, member)
        for name in ("name", "domain", "classes", "size", "channels"):
            setattr(self, name, getattr(first, name))
        self.title = title or f"vote of {', '.join(member.title for member in members)}"
        # Each member has modules of its own, also where two share one network: a layer's maps then belong to one member.
        seen: set[int] = set()
        own = []
        for member in members:
            shares = any(id(module) in seen for module in member.modules())
            own.append(twin(member) if shares else member)
            seen.update(id(module) for module in own[-1].modules())
        self.members = nn.ModuleList(own)
        self.cam_layer = f"0.{first.cam_layer}" if first.cam_layer else ""
        nn.Module.train(self, False)

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The members' networks; a layer's name begins with its member's number."""
        return nn.ModuleList([member.network for member in self.voters])

    @property
    def voters(self) -> tuple[Classifier, ...]:
        """The members in their order."""
        return tuple(self.members)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        return self.voters[0].device

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        return self.voters[0].mean

    @property
    def std(self) -> Tensor:  # type: ignore[override]
        return self.voters[0].std

    @property
    def surrogate(self) -> Classifier:
        """The vote of what an attacker differentiates of each member."""
        return self._of([member.surrogate for member in self.voters])

    def in_attack(self, looks: AttackLooks) -> Classifier:
        return self._of([member.in_attack(looks) for member in self.voters])

    def one_draw(self) -> Classifier:
        return self._of([member.one_draw() for member in self.voters])

    def member_scores(self, images: Tensor) -> Tensor:
        """What each member says of images N×C×H×W in [0, 1]: probabilities, members×N×K."""
        return torch.stack([member(images).softmax(1) for member in self.voters])

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of images N×C×H×W in [0, 1]: the logarithms of the members' mean probabilities."""
        return vote([member(images) for member in self.voters])

    def _of(self, members: list[Classifier]) -> Classifier:
        """The same ensemble of other members; itself where they are the same."""
        if all(new is old for new, old in zip(members, self.voters, strict=True)):
            return self
        other = copy(self)
        other._modules = {"members": nn.ModuleList(members)}
        return other


def vote(logits: Sequence[Tensor]) -> Tensor:
    """The logits N×K of a vote from each member's logits N×K; of one member, that member's own.

    Each member's scores are normalized to sum 1 and added (Dornadula et al. 2018, section 4.4); the logits are the logarithms of
    their mean.
    """
    if len(logits) == 1:
        return logits[0]
    scores = torch.stack([each.float().log_softmax(1) for each in logits])
    return scores.logsumexp(0) - log(len(logits))


def check_same_images(first: Classifier, other: Classifier) -> None:
    """Refuse a classifier that takes other images than the first one, names other classes, or is on another device.

    Raises:
        InvalidInput: it does.
    """
    if (other.size, other.channels) != (first.size, first.channels):
        raise InvalidInput(
            f"{first.title} takes images {first.size}×{first.size} with {first.channels} channels and {other.title} "
            f"{other.size}×{other.size} with {other.channels}; a system judges the same images."
        )
    if tuple(other.classes) != tuple(first.classes):
        raise InvalidInput(f"{first.title} and {other.title} have different classes; a system has the same for all.")
    if other.device != first.device:
        raise InvalidInput(
            f"{first.title} is on {first.device} and {other.title} on {other.device}; move both to one device."
        )
