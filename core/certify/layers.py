"""The layers that bounds go through, in float64."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input


@dataclass(frozen=True)
class Layer(ABC):
    """One layer.

    Attributes:
        inputs: the shape of one input, without the batch dimension.
    """

    inputs: tuple[int, ...]

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The output for N inputs."""


class Affine(Layer):
    """A layer y = W x + b."""

    @abstractmethod
    def radius(self, radius: Tensor) -> Tensor:
        """How far y can be from W c + b where each |x_i - c_i| ≤ radius_i, which is |W| radius; N inputs."""

    @abstractmethod
    def transpose(self, rows: Tensor) -> Tensor:
        """Wᵀ a of M rows a of the output's shape, M×inputs."""

    @abstractmethod
    def offset(self, rows: Tensor) -> Tensor:
        """aᵀ b of M rows a of the output's shape, M."""


@dataclass(frozen=True)
class Convolution(Affine):
    """A convolution; also the normalization and a batch norm, as one of 1×1 for each channel."""

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def radius(self, radius: Tensor) -> Tensor:
        return F.conv2d(radius, self.weight.abs(), None, self.stride, self.padding, self.dilation, self.groups)

    def transpose(self, rows: Tensor) -> Tensor:
        size = (len(rows), *self.inputs)
        transposed: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            size, self.weight, rows, self.stride, self.padding, self.dilation, self.groups
        )
        return transposed

    def offset(self, rows: Tensor) -> Tensor:
        return rows.new_zeros(len(rows)) if self.bias is None else rows.sum((2, 3)) @ self.bias


@dataclass(frozen=True)
class Linear(Affine):
    """A fully connected layer."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def radius(self, radius: Tensor) -> Tensor:
        return F.linear(radius, self.weight.abs())

    def transpose(self, rows: Tensor) -> Tensor:
        return rows @ self.weight

    def offset(self, rows: Tensor) -> Tensor:
        return rows.new_zeros(len(rows)) if self.bias is None else rows @ self.bias


@dataclass(frozen=True)
class Pad(Affine):
    """A border of one value around the maps."""

    border: tuple[int, ...]
    value: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.pad(x, self.border, value=self.value)

    def radius(self, radius: Tensor) -> Tensor:
        return F.pad(radius, self.border)

    def transpose(self, rows: Tensor) -> Tensor:
        return F.pad(rows, tuple(-width for width in self.border))

    def offset(self, rows: Tensor) -> Tensor:
        return self.value * (rows.flatten(1).sum(1) - self.transpose(rows).flatten(1).sum(1))


class Flatten(Affine):
    """Maps to one row."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def radius(self, radius: Tensor) -> Tensor:
        return radius.flatten(1)

    def transpose(self, rows: Tensor) -> Tensor:
        return rows.view(-1, *self.inputs)

    def offset(self, rows: Tensor) -> Tensor:
        return rows.new_zeros(len(rows))


class ReLU(Layer):
    """max(x, 0)."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest value of each window."""

    window: tuple[Any, ...]  # kernel, stride, padding, dilation, ceil mode

    def __call__(self, x: Tensor) -> Tensor:
        pooled: Tensor = F.max_pool2d(x, *self.window)
        return pooled

    def windows(self, x: Tensor) -> Tensor:
        """The values of each window, N×C×values×windows, with -inf for those outside the map."""
        kernel, stride, padding, dilation, _ = self.window
        rows, columns = self(x[:1, :1]).shape[2:]
        border: list[int] = []
        for axis, count in ((1, columns), (0, rows)):
            end = (count - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 - padding[axis]
            border += [padding[axis], end - x.shape[2 + axis]]
        padded = F.pad(x, border, value=-torch.inf)
        unfolded: Tensor = F.unfold(padded.flatten(0, 1)[:, None], kernel, dilation, 0, stride)
        return unfolded.view(*x.shape[:2], *unfolded.shape[1:])
