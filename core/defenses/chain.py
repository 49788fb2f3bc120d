"""Defenses one after another."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import torch
from pydantic import SerializeAsAny
from torch import Tensor

from core.cancellation import check
from core.declaration import Parameter
from core.defenses.base import Defense
from core.random_streams import RandomStreams


class Chain(Defense):
    """Several defenses as one, applied from left to right.

    It has no name of its own in the registry: in a recipe it is a list.
    """

    title: ClassVar[str] = "Chain"
    summary: ClassVar[str] = "Several defenses, one after another."
    paper: ClassVar[str] = ""

    members: tuple[SerializeAsAny[Defense], ...] = ()

    def apply(self, images: Tensor) -> Tensor:
        for member in self.members:
            check()
            images = member.apply(images)
        return images

    def sample(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        for member in self.members:
            check()
            images = member.sample(images, generator)
        return images

    def sample_each(self, images: Tensor, streams: RandomStreams | None) -> Tensor:
        for member in self.members:
            check()
            images = member.sample_each(images, streams)
        return images

    def is_randomized(self) -> bool:
        return any(member.is_randomized() for member in self.members)

    def bpda_forward(self, images: Tensor, backward: str, streams: RandomStreams | None = None) -> Tensor:
        for member in self.members:
            check()
            images = member.bpda_forward(images, backward, streams)
        return images

    def nondifferentiable_parts(self) -> tuple[str, ...]:
        return tuple(title for member in self.members for title in member.nondifferentiable_parts())

    def checksums(self) -> dict[str, str]:
        return {name: sha256 for member in self.members for name, sha256 in member.checksums().items()}

    def describe(self, parameters: tuple[Parameter, ...] | None = None, always: Collection[str] = ()) -> str:
        return " → ".join(member.describe(always=always) for member in self.members) or "no defense"
