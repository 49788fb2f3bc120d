"""The contract of a defense: declared parameters in, images to images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from core.declaration import Declared, Registry
from core.inputs import BadInput, check_images


class Defense(Declared, ABC):
    """A transformation of the input, applied before the classifier sees it.

    A subclass declares its parameters as fields, names itself with the class variables of `Declared`, and writes `apply`.
    """

    differentiable: ClassVar[bool] = True  # whether autograd through `apply` gives a useful gradient

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            REGISTRY.add(cls)

    @abstractmethod
    def apply(self, images: Tensor) -> Tensor:
        """Defended images, the shape and device of `images` (N×C×H×W in [0, 1]); keeps the graph where differentiable."""

    def __call__(self, images: Tensor) -> Tensor:
        """Defend a batch, N×C×H×W in [0, 1], into the same shape and range.

        Raises:
            BadInput: the images are unusable, or a parameter does not fit them.
        """
        check_images(images)
        return self.apply(images)

    def guarded_gradient(self, images: Tensor, backward: str) -> Tensor:
        """Defend, with the gradient that an attacker would use backward.

        'identity' is BPDA; 'true' is autograd's own; 'best' is the true one where it is useful and the identity elsewhere.
        """
        if backward == "true" or (backward == "best" and self.differentiable):
            return self.apply(images)
        return straight_through(images, self.apply(images.detach()))

    def without_gradient(self) -> tuple[str, ...]:
        """The titles of those parts that have no useful gradient."""
        return () if self.differentiable else (self.title,)


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


def odd(window: int) -> int:
    """A validator for the side of a window that has a middle pixel."""
    if window % 2 == 0:
        raise ValueError(
            f"The window is {window}; it must be odd, so that it has a middle pixel: {window - 1} or {window + 1}."
        )
    return window


def fit_window(title: str, window: int, images: Tensor) -> None:
    """Refuse a window that is larger than the picture.

    Raises:
        BadInput: it is.
    """
    height, width = images.shape[2:]
    if window > min(height, width):
        raise BadInput(
            f"{title}: the window is {window}×{window} and the picture {height}×{width}; choose a smaller window."
        )


REGISTRY: Registry[Defense] = Registry("defense")
