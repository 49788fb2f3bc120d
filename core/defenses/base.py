"""The contract of a defense: declared parameters in, images to images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from core.declaration import Configurable, Parameter
from core.domains.base import Domain
from core.inputs import InvalidInput, check_images, full_precision
from core.random_streams import RandomStreams
from core.registry import Registry
from core.threads import parallel_map

REGISTRY: Registry[Defense] = Registry("defense")


class Defense(Configurable, ABC):
    """A transformation of the input, applied before the classifier sees it.

    A subclass declares its parameters as fields, names itself with the class variables of `Configurable`, and writes `apply`.
    """

    registry: ClassVar[Registry[Any] | None] = REGISTRY

    differentiable: ClassVar[bool] = True  # whether autograd through `apply` gives a useful gradient

    @classmethod
    def fits(cls, domain: Domain) -> bool:
        """Whether it is offered for the images of that domain."""
        return True

    @classmethod
    def parameters_for(cls, domain: Domain) -> tuple[Parameter, ...]:
        """The declared parameters with the defaults and choices of a domain."""
        return cls.parameters()

    def check_domain(self, domain: Domain) -> None:
        """Refuse a domain whose images it is not for.

        Raises:
            InvalidInput: it is not; the sentence names what it is for.
        """

    @abstractmethod
    def apply(self, images: Tensor) -> Tensor:
        """Defended images, the shape and device of `images` (N×C×H×W in [0, 1]); keeps the graph where differentiable."""

    def __call__(self, images: Tensor) -> Tensor:
        """Defend a batch, N×C×H×W in [0, 1], into the same shape, range and type; floats of 16 bits are computed with 32.

        Raises:
            InvalidInput: the images are unusable, or a parameter does not fit them.
        """
        check_images(images)
        return self.apply(full_precision(images)).to(images.dtype)

    def sample(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """`apply` with fresh randomness from `generator`; a defense without randomness has nothing to draw."""
        return self.apply(images)

    def sample_each(self, images: Tensor, streams: RandomStreams | None) -> Tensor:
        """`sample` with a stream for each of the images, so that an image's draw does not depend on the rest of the batch.

        Image by image here, which holds whatever `sample` does; a defense may write it for the whole batch at once.
        """
        if streams is None or not self.is_randomized():
            return self.sample(images, None)
        alone = zip(torch.split(images, 1), streams.generators, strict=True)
        return torch.cat([self.sample(image, generator) for image, generator in alone])

    def is_randomized(self) -> bool:
        """Whether two draws differ."""
        return type(self).sample is not Defense.sample

    def bpda_forward(self, images: Tensor, backward: str, streams: RandomStreams | None = None) -> Tensor:
        """Defend, with the gradient that an attacker would use backward; with streams, on a fresh draw of each image's.

        'identity' is BPDA; 'true' is autograd's own; 'best' is the true one where it is useful and the identity elsewhere.
        """
        if backward == "true" or (backward == "best" and self.differentiable):
            return self.sample_each(images, streams)
        return straight_through(images, self.sample_each(images.detach(), streams))

    def nondifferentiable_parts(self) -> tuple[str, ...]:
        """The titles of those parts that have no useful gradient."""
        return () if self.differentiable else (self.title,)

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of its weights by the names of their artifacts; empty where it has none."""
        return {}


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, defended: Tensor) -> Tensor:
        return defended.view_as(defended)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(images: Tensor, defended: Tensor) -> Tensor:
    """The defended images forward, the identity backward (BPDA; Athalye, Carlini and Wagner 2018, section 4.1)."""
    return _StraightThrough.apply(images, defended)  # type: ignore[no-any-return]


def map_batches(work: Callable[[Tensor], Tensor], images: Tensor, values: int = 1 << 18) -> Tensor:
    """`work(images)` for work that keeps the shape and looks at each image alone, a few images at a time.

    On a CPU what it makes on the way then stays in the cache, which is worth a factor of two or three. A GPU, and a
    gradient, take the batch whole.
    """
    if images.device.type != "cpu" or (torch.is_grad_enabled() and images.requires_grad):
        return work(images)
    few = max(1, values // images[0].numel())
    if few >= len(images):
        return work(images)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    parts = zip(torch.split(images, few), torch.split(result, few), strict=True)
    parallel_map(lambda pair: pair[1].copy_(work(pair[0])), parts)
    return result


def require_odd(window: int) -> int:
    """A validator for the side of a window that has a middle pixel."""
    if window % 2 == 0:
        raise ValueError(
            f"The window is {window}; it must be odd, so that it has a middle pixel: {window - 1} or {window + 1}."
        )
    return window


def check_window(title: str, window: int, images: Tensor) -> None:
    """Refuse a window that is larger than the image.

    Raises:
        InvalidInput: it is.
    """
    height, width = images.shape[2:]
    if window > min(height, width):
        raise InvalidInput(
            f"{title}: the window is {window}×{window} and the image {height}×{width}; choose a smaller window."
        )
