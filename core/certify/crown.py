"""Linear bounds that go from the logits back to the image (CROWN, Zhang et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from core.cancellation import check
from core.certify.interval import Box, backward, differences, interval_margins, lowest, through
from core.certify.layers import Affine, Convolution, Layer, Linear, MaxPool, ReLU

MOST_WORK = (
    10**9
)  # multiplications for one image and one side of the bounds of a layer; a layer with more keeps its intervals
MOST_VALUES = 1 << 21  # float64 values of the rows that go back through a layer at once


def crown_margins(layers: Sequence[Layer], box: Box, labels: Tensor) -> Tensor:
    """Lower bounds of f_y - f_k in the box, float64 N×K, 0 at k = y.

    The inputs of ReLU and max-pool that come from an affine layer are bounded in the same way, from the first to the last, and cut
    with their intervals (Zhang et al. 2018, theorem 3.2 and section 3.3). Layers that need more than `MOST_WORK` for the
    neurons that can change their sign keep their intervals, which are sound and looser.

    Args:
        labels: y, int64 N.
    """
    boxes = [box]
    for number, layer in enumerate(layers[:-1], start=1):
        output_box = through(layer, boxes[-1])
        curved = any(not isinstance(earlier, Affine) for earlier in layers[:number])
        if curved and isinstance(layer, Affine) and not isinstance(layers[number], Affine):
            output_box = _refined(layers[:number], boxes, output_box, layers[number])
        boxes.append(output_box)
    last = boxes[-1].center
    rows = differences(labels, layers[-1](last).shape[1])
    return lower_bounds(layers, boxes, rows)


def best_margins(layers: Sequence[Layer], box: Box, labels: Tensor) -> Tensor:
    """The larger of both bounds for each class, N×K: a linear bound is looser than the interval for some."""
    return torch.maximum(interval_margins(layers, box, labels), crown_margins(layers, box, labels))


MARGINS: dict[str, Callable[[Sequence[Layer], Box, Tensor], Tensor]] = {
    "interval": interval_margins,
    "crown": crown_margins,
    "best": best_margins,
}


def lower_bounds(layers: Sequence[Layer], boxes: Sequence[Box], rows: Tensor) -> Tensor:
    """Lower bounds of aᵀ y for rows a, N×S×outputs, of the output y of the layers, N×S.

    Args:
        boxes: of the inputs of each layer; the first one is the image's.
    """
    added = rows.new_zeros(rows.shape[:2])
    for layer, box in zip(reversed(layers), reversed(boxes[: len(layers)]), strict=True):
        if isinstance(layer, Affine):
            rows, offset = backward(layer, rows)
        elif isinstance(layer, ReLU):
            rows, offset = _through_relu(rows, box)
        else:
            assert isinstance(layer, MaxPool)
            rows, offset = _through_max_pool(layer, rows, box)
        added = added + offset
    return lowest(rows, boxes[0]) + added


def _refined(layers: Sequence[Layer], boxes: Sequence[Box], box: Box, following: Layer) -> Box:
    """The box of the outputs of the layers cut with linear bounds, for the neurons of which it matters to `following`."""
    shape, count = box.low.shape[1:], len(box.low)
    if isinstance(following, ReLU):  # a neuron that keeps its sign is linear already
        open_ones = ((box.low < 0) & (box.high > 0)).flatten(1).any(0)
    else:
        open_ones = torch.ones(prod(shape), dtype=torch.bool, device=box.low.device)
    numbers = open_ones.nonzero()[:, 0]
    outputs = [*boxes[1:], box]
    work = sum(_work(layer, out) for layer, out in zip(layers, outputs, strict=True))
    if not 0 < len(numbers) * work <= MOST_WORK:
        return box
    widest = max(prod(shape), *(prod(layer.inputs) for layer in layers))
    low, high = box.low.flatten(1).clone(), box.high.flatten(1).clone()
    for part in torch.split(numbers, max(1, MOST_VALUES // (2 * count * widest))):
        check()
        rows = torch.zeros(2, len(part), prod(shape), dtype=torch.float64, device=low.device)
        rows[0, torch.arange(len(part)), part] = 1
        rows[1] = -rows[0]
        both = lower_bounds(layers, boxes, rows.view(1, -1, *shape).expand(count, -1, *shape))
        low[:, part], high[:, part] = both[:, : len(part)], -both[:, len(part) :]
    return box.meet(Box(low.view_as(box.low), high.view_as(box.high)))


def _work(layer: Layer, outputs: Box) -> int:
    """The multiplications of a row that goes back through a layer."""
    if isinstance(layer, Convolution):
        return layer.weight.numel() * prod(outputs.low.shape[2:])
    return layer.weight.numel() if isinstance(layer, Linear) else prod(layer.inputs)


def _through_relu(rows: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """Rows of max(x, 0) as rows of x: the chord from above, x or 0 from below, whichever leaves the smaller area (section 3.3)."""
    low, high, active = box.low.clamp(max=0), box.high.clamp(min=0), box.low >= 0
    slope = torch.where(active, 1.0, high / torch.where(active, 1.0, high - low))
    below = torch.where(active | (high > -low), 1.0, 0.0).double()
    intercept = -low * slope
    positive, negative = rows.clamp(min=0), rows.clamp(max=0)
    offset = (negative * intercept[:, None]).flatten(2).sum(2)
    return positive * below[:, None] + negative * slope[:, None], offset


def _through_max_pool(layer: MaxPool, rows: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """Rows of the largest values as rows of x: from below the value with the highest lower bound, from above the highest bound.

    Where that value is above all others whatever they are, it is the largest one itself, from both sides.
    """
    low, high = layer.windows(box.low), layer.windows(box.high)
    chosen = low.argmax(2, keepdim=True)
    alone = low.gather(2, chosen)[:, :, 0] >= high.scatter(2, chosen, -torch.inf).amax(2)
    grid = torch.arange(prod(layer.inputs[1:]), dtype=torch.float64, device=low.device).view(1, 1, *layer.inputs[1:])
    index = layer.windows(grid).expand_as(low).gather(2, chosen)[:, :, 0].long()
    positive, negative = rows.flatten(3).clamp(min=0), rows.flatten(3).clamp(max=0)
    offset = (negative * torch.where(alone, 0.0, high.amax(2))[:, None]).flatten(2).sum(2)
    target = rows.new_zeros(*rows.shape[:3], prod(layer.inputs[1:]))
    target.scatter_add_(3, index[:, None].expand_as(positive), positive + negative * alone[:, None])
    return target.view(*rows.shape[:2], *layer.inputs), offset
