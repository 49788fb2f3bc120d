"""A classifier behind a defense, as an attacker with a given knowledge sees it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from core.cancellation import check
from core.defenses.base import Defense
from core.inputs import InvalidInput, quoted
from core.models.classifier import Classifier, Wrapper
from core.random_streams import AttackLooks, RandomStreams, image_keys

Backward = Literal["none", "identity", "true", "best", "average"]
Seed = tuple[int | str, ...]

GRAPH_BYTES = 1 << 28  # that the graphs of several draws may take together on a CPU


class Guarded(Wrapper):
    """`classifier(defense(images))`, again a classifier, so that every attack works against every defense unchanged.

    `backward` says what the attacker knows of the defense:
        'none': nothing (grey box). The attack is crafted on the bare classifier; its success is judged behind the defense.
        'identity': the defense runs forward and counts as the identity backward (BPDA; Athalye et al. 2018, section 4.1).
        'true': its true gradient; refused where a part of the defense has none, such as rounding.
        'best': part by part, the true gradient where there is one and the identity elsewhere.
        'average': as 'best', averaged over `samples` draws of the defense's own randomness, fresh ones at every look
            (expectation over transformation; Athalye et al. 2018, section 4.2). Of a defense without randomness it is 'best'.

    Without a gradient the logits of a randomized defense are the mean over `samples` draws that depend on `seed` and on the
    image alone, so that a success is no luck of one draw and the same image always gets the same answer, whatever its batch.

    The attacker's draws differ from these. Within an attack they depend on the attack's seed and step and are the same for all
    images of a look; else on the image. Nothing is remembered from one call to the next.

    Raises:
        InvalidInput: `backward` is unknown, or is 'true' for a defense without a useful gradient.
    """

    def __init__(
        self,
        classifier: Classifier,
        defense: Defense,
        backward: Backward = "identity",
        *,
        samples: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(classifier)
        if backward not in get_args(Backward):
            known = ", ".join(repr(word) for word in get_args(Backward))
            raise InvalidInput(f"backward is {quoted(backward)}; it must be one of {known}.")
        if not 1 <= samples <= 1000:
            raise InvalidInput(f"samples is {samples}; it must be 1 to 1000.")
        without = defense.nondifferentiable_parts()
        if backward == "true" and without:
            verb = "has" if len(without) == 1 else "have"
            raise InvalidInput(
                f"{' and '.join(without)} {verb} no useful gradient; use backward='identity' (BPDA) or 'best'."
            )
        self.defense = defense
        self.backward = backward
        self.samples = samples if defense.is_randomized() else 1
        self.seed = seed
        self.looks: AttackLooks | None = None  # of the attack that this classifier was made for

    @property
    def surrogate(self) -> Classifier:
        """What the attacker differentiates: without the defenses, of this one and of those inside, that the attacker does not know."""
        return self.classifier.surrogate if self.backward == "none" else super().surrogate

    def in_attack(self, looks: AttackLooks) -> Classifier:
        known = super().in_attack(looks)
        if self.backward != "average" or not self.defense.is_randomized():
            return known
        assert isinstance(known, Guarded)
        twin = copy(known)
        twin.looks = looks
        return twin

    def one_draw(self) -> Classifier:
        single = super().one_draw()
        if self.samples == 1:
            return single
        assert isinstance(single, Guarded)
        twin = copy(single)
        twin.samples = 1
        return twin

    def forward(self, images: Tensor) -> Tensor:
        """Logits N×K of the defended images, N×C×H×W in [0, 1]; the gradient is the one that `backward` names."""
        images = self.accepted(images)
        with_gradient = torch.is_grad_enabled() and images.requires_grad
        if not self.defense.is_randomized():
            backward = "best" if self.backward == "average" else self.backward
            return self._forward_once(images, backward, None)
        if not with_gradient:
            return self._forward_mean(images, image_keys(images), ("judge", self.seed))
        if self.backward != "average":
            return self._forward_once(images, self.backward, None)
        if self.looks is None:
            return self._forward_mean_with_gradient(images, image_keys(images), ("attacker", self.seed))
        return self._forward_mean_with_gradient(
            images, (b"",) * len(images), ("attacker", self.seed, *self.looks.next_seed())
        )

    def _forward_mean(self, images: Tensor, keys: tuple[bytes, ...], seed: Seed) -> Tensor:
        """The mean logits over the draws that the keys and the seed name."""
        total = self._draw(images, keys, (*seed, 0))
        for number in range(1, self.samples):
            total = total + self._draw(images, keys, (*seed, number))
        return total / self.samples

    def _forward_mean_with_gradient(self, images: Tensor, keys: tuple[bytes, ...], seed: Seed) -> Tensor:
        """The same with a graph that holds about `GRAPH_BYTES` at most, or that of two draws: the others are computed again backward."""
        graph_size = _GraphSize()
        with graph_size:
            total = self._draw(images, keys, (*seed, 0))
        n_stored = _room(images.device) // max(1, graph_size.size)
        for number in range(1, self.samples):
            draw = partial(self._draw, keys=keys, seed=(*seed, number))
            total = total + (draw(images) if number < n_stored else _computed_again(draw, images))
        return total / self.samples

    def _draw(self, images: Tensor, keys: tuple[bytes, ...], seed: Seed) -> Tensor:
        """Logits behind one draw of the defense; the same arguments give the same logits."""
        check()
        classifier = self.classifier
        if self.looks is not None:  # random defenses inside draw anew for each draw of this one
            classifier = classifier.in_attack(AttackLooks(*seed))
        return self._forward_once(images, "best", RandomStreams.keyed(keys, *seed), classifier)

    def _forward_once(
        self, images: Tensor, backward: str, streams: RandomStreams | None, classifier: Classifier | None = None
    ) -> Tensor:
        """Logits behind one draw of the defense; without streams, the draw that the defense itself names."""
        if torch.is_grad_enabled() and images.requires_grad:
            defended = self.defense.bpda_forward(images, backward, streams)
        else:
            defended = self.defense.sample_each(images, streams)
        return (classifier or self.classifier)(defended)  # type: ignore[no-any-return]


class _GraphSize(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes of what the graph made inside holds; what it holds twice counts twice, so that it is no less."""

    def __init__(self) -> None:
        self.size = 0
        super().__init__(self._count, lambda tensor: tensor)

    def _count(self, tensor: Tensor) -> Tensor:
        self.size += tensor.numel() * tensor.element_size()
        return tensor


def _room(device: torch.device) -> int:
    """Bytes that graphs may take there."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else GRAPH_BYTES


def _computed_again(draw: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`draw(images)` without what its graph holds: backward, it is made again."""
    return checkpoint(draw, images, use_reentrant=False, preserve_rng_state=False)
