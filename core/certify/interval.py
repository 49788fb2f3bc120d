"""Interval bound propagation: how far each neuron can go while the image stays in a box (Gowal et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from core.certify.layers import Affine, Layer


class Box(NamedTuple):
    """An interval for each value of N inputs: low ≤ x ≤ high, float64 N×shape."""

    low: Tensor
    high: Tensor

    @property
    def center(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def radius(self) -> Tensor:
        return (self.high - self.low) / 2

    def meet(self, other: Box) -> Box:
        """Where both boxes hold. Rounding can put the bounds of one value the wrong way round; the value is then their middle."""
        low, high = torch.maximum(self.low, other.low), torch.minimum(self.high, other.high)
        middle = (low + high) / 2
        return Box(torch.minimum(low, middle), torch.maximum(high, middle))


def image_box(images: Tensor, eps: Tensor) -> Box:
    """The images of [0, 1] that differ by at most eps from N×C×H×W in each value; eps: N."""
    images, eps = images.double(), eps.double().view(-1, 1, 1, 1)
    return Box((images - eps).clamp(0, 1), (images + eps).clamp(0, 1))


def through(layer: Layer, box: Box) -> Box:
    """What the outputs can be where the inputs are in the box (equations 6 and 7)."""
    if isinstance(layer, Affine):
        center, radius = layer(box.center), layer.radius(box.radius)
        return Box(center - radius, center + radius)
    return Box(layer(box.low), layer(box.high))  # monotone


def input_boxes(layers: Sequence[Layer], box: Box) -> list[Box]:
    """What the inputs of each layer can be, where the inputs of the first one are in the box."""
    boxes = [box]
    for layer in layers[:-1]:
        boxes.append(through(layer, boxes[-1]))
    return boxes


def differences(labels: Tensor, classes: int) -> Tensor:
    """Rows that take the logit of each other class from the label's, N×K×K float64; row y is 0."""
    eye = torch.eye(classes, dtype=torch.float64, device=labels.device)
    return eye[labels][:, None] - eye


def backward(layer: Affine, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows N×S×shape of the output as rows of the input, and what the bias adds to them, N×S."""
    flat = rows.flatten(0, 1)
    transposed, (n, s) = layer.transpose(flat), rows.shape[:2]
    return transposed.view(n, s, *transposed.shape[1:]), layer.offset(flat).view(n, s)


def lowest(rows: Tensor, box: Box) -> Tensor:
    """The smallest value of each row aᵀ x for x in the box, N×S."""
    rows = rows.flatten(2)
    center, radius = box.center.flatten(1), box.radius.flatten(1)
    return (rows @ center[:, :, None] - rows.abs() @ radius[:, :, None]).squeeze(2)


def interval_margins(layers: Sequence[Layer], box: Box, labels: Tensor) -> Tensor:
    """Lower bounds of f_y - f_k in the box, float64 N×K, 0 at k = y.

    The difference is taken through the last affine layers before it is bounded, as elision does (Gowal et al. 2018, section 3).

    Args:
        labels: y, int64 N.
    """
    boxes = input_boxes(layers, box)
    rows = differences(labels, layers[-1](boxes[-1].center).shape[1])
    added = rows.new_zeros(rows.shape[:2])
    for layer, before in zip(reversed(layers), reversed(boxes), strict=True):
        if not isinstance(layer, Affine):
            return lowest(rows, through(layer, before)) + added
        rows, offset = backward(layer, rows)
        added = added + offset
    return lowest(rows, box) + added
