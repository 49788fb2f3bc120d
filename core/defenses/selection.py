"""The median of every window of an image, by minima and maxima of whole shifted images.

The column of a window is sorted once for all windows that hold it; sorted neighbors are merged into pairs, fours and
eights, again once for all; the last two lists need no merging, because the middle of their union is a minimum of maxima
(after Adams 2021, Fast median filters using separable sorting networks). What the median does not need is not computed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.accelerated import compiled
from core.threads import parallel_map

CPU_CHUNK, CUDA_CHUNK = 1 << 17, 1 << 21  # pixels at once: a CPU's cache holds them; a GPU is kept busy
SHARE, BLOCK = 1 << 15, 1 << 10  # of the compiled network: pixels a thread takes at a time, and those its cache holds

Value = tuple[int, int]  # a plane's number, and how far to the right of the window's corner it is read
Values = list[Value]
Operation = tuple[bool, Value, Value]  # maximum or minimum, of two values


NONE = -1  # the slot of a result that nobody needs


class CompiledNetwork(NamedTuple):
    """A network's operations, one a row: the slot and shift of both inputs, the slots of minimum and maximum, the extra length."""

    operations: npt.NDArray[np.int64]
    slots: int  # rows of memory that it needs
    middle: int  # the slot in which the median stands,
    shift: int  # and how far to the right


class SelectionNetwork:
    """The operations that lead from a window's rows to its median, in an order in which they can be computed.

    Planes 0 … window − 1 are the input read that many rows further down; plane window + k is the result of operation k.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.operations: list[Operation] = []
        self._known: dict[Operation, int] = {}
        self._lists: dict[int, Values] = {1: self._sorted([(row, 0) for row in range(window)])}
        left, right = self._split(window)
        rank = window * window // 2 + 1  # of an even count, the upper one of the two in the middle, as scipy does
        terms = [
            self._comparator(True, left[i - 1], right[rank - i - 1])
            if 0 < i < rank
            else (left if i else right)[rank - 1]
            for i in range(max(0, rank - len(right)), min(rank, len(left)) + 1)
        ]
        self.median = terms[0]
        for term in terms[1:]:
            self.median = self._comparator(False, self.median, term)
        self._prune()

    def _split(self, count: int) -> tuple[Values, Values]:
        """The sorted values of the first columns (the largest power of two below `count`) and of the others."""
        first = 1 << ((count - 1).bit_length() - 1)
        return self._columns(first), [(plane, shift + first) for plane, shift in self._columns(count - first)]

    def _columns(self, count: int) -> Values:
        """The sorted values of `count` columns side by side."""
        if count not in self._lists:
            self._lists[count] = self._merged(*self._split(count))
        return self._lists[count]

    def _comparator(self, larger: bool, a: Value, b: Value) -> Value:
        shift = min(a[1], b[1])  # the same operation further right is the same plane, read further right
        operation = (larger, (a[0], a[1] - shift), (b[0], b[1] - shift))
        if operation not in self._known:
            self._known[operation] = self.window + len(self.operations)
            self.operations.append(operation)
        return self._known[operation], shift

    def _sorted(self, values: Values) -> Values:
        half = len(values) // 2
        return self._merged(self._sorted(values[:half]), self._sorted(values[half:])) if half else values

    def _merged(self, a: Values, b: Values) -> Values:
        """Batcher's odd-even merge of two sorted lists (Knuth, volume 3, section 5.3.4)."""
        if not a or not b:
            return a or b
        if len(a) == len(b) == 1:
            return [self._comparator(False, a[0], b[0]), self._comparator(True, a[0], b[0])]
        even, odd = self._merged(a[0::2], b[0::2]), self._merged(a[1::2], b[1::2])
        result = even[:1]
        for low, high in zip(odd, even[1:], strict=False):
            result += [self._comparator(False, low, high), self._comparator(True, low, high)]
        pairs = min(len(odd), len(even) - 1)
        return result + odd[pairs:] + even[1 + pairs :]

    def _prune(self) -> None:
        """Keep what the median needs; note each plane's reach (how far right of a chunk it is read) and its last use."""
        needed = {self.median[0]: self.median[1]}
        for number in reversed(range(self.window, self.window + len(self.operations))):
            if number in needed:
                for plane, shift in self.operations[number - self.window][1:]:
                    needed[plane] = max(needed.get(plane, 0), needed[number] + shift)
        numbers = {row: row for row in range(self.window)}
        operations: list[Operation] = []
        self.reach: list[int] = []
        for number, (larger, a, b) in enumerate(self.operations, self.window):
            if number in needed:
                numbers[number] = self.window + len(operations)
                operations.append((larger, (numbers[a[0]], a[1]), (numbers[b[0]], b[1])))
                self.reach.append(needed[number])
        self.operations, self.median = operations, (numbers[self.median[0]], self.median[1])
        last: dict[int, int] = {}
        for number, (_, a, b) in enumerate(operations):
            last[a[0]] = last[b[0]] = number
        self.freed: list[list[int]] = [[] for _ in operations]
        for plane, number in last.items():
            if plane >= self.window:
                self.freed[number].append(plane)

    def run(self, flat: Tensor, stride: int, start: int, count: int, spare: list[Tensor]) -> Tensor:
        """Medians of the windows whose corners are at flat[start : start + count], in rows `stride` apart."""
        planes: dict[int, Tensor] = {
            row: flat[start + row * stride : start + row * stride + count + self.window - 1]
            for row in range(self.window)
        }
        buffers: dict[int, Tensor] = {}
        for number, ((larger, a, b), reach, freed) in enumerate(
            zip(self.operations, self.reach, self.freed, strict=True)
        ):
            size = count + reach
            buffer = spare.pop() if spare else flat.new_empty(count + self.window - 1)
            out = buffer[:size]
            first, second = planes[a[0]][a[1] : a[1] + size], planes[b[0]][b[1] : b[1] + size]
            (torch.maximum if larger else torch.minimum)(first, second, out=out)
            planes[self.window + number], buffers[self.window + number] = out, buffer
            for plane in freed:
                spare.append(buffers.pop(plane))
                del planes[plane]
        spare.extend(buffers.values())
        return planes[self.median[0]][self.median[1] :][:count]

    def program(self) -> CompiledNetwork:
        """The operations as the compiled loop takes them; a minimum and a maximum of the same two values are one operation."""
        slot = {row: row for row in range(self.window)}
        slots, spare = self.window, list[int]()
        rows: list[list[int]] = []
        number = 0
        while number < len(self.operations):
            larger, a, b = self.operations[number]
            both = self.operations[number + 1 : number + 2] == [(not larger, a, b)]
            results = [NONE, NONE]
            extra, freed = 0, list[int]()
            for k in range(number, number + 1 + both):
                if not spare:
                    spare.append(slots)
                    slots += 1
                slot[self.window + k] = results[self.operations[k][0]] = spare.pop()
                extra = max(extra, self.reach[k])
                freed += self.freed[k]
            rows.append([slot[a[0]], a[1], slot[b[0]], b[1], *results, extra])
            spare += [slot.pop(plane) for plane in freed]
            number += 1 + both
        return CompiledNetwork(np.array(rows, np.int64).reshape(-1, 7), slots, slot[self.median[0]], self.median[1])


@lru_cache(maxsize=8)
def network(window: int) -> SelectionNetwork:
    """The network of that window; building the largest takes a moment."""
    return SelectionNetwork(window)


@lru_cache(maxsize=8)
def _program(window: int) -> CompiledNetwork:
    return network(window).program()


def median_of_windows(padded: Tensor, window: int) -> Tensor:
    """Medians N×C×(H−w+1)×(W−w+1) of all windows that fit into N×C×H×W; no gradient."""
    flat, (height, width) = padded.detach().contiguous().view(-1), padded.shape[2:]
    # All images lie end to end; windows that run over an edge are computed like the others and cut away.
    total = len(flat) - (window - 1) * (width + 1)
    medians = compiled("medians", flat)
    if medians is None:
        result = _together(flat, width, window, total)
    else:
        result = torch.empty_like(flat)
        source, target, program = flat.numpy(), result.numpy(), _program(window)

        def share(start: int) -> None:
            part = target[start : min(start + SHARE, total)]
            medians.run(source[start:], width, window, *program, BLOCK, part)

        parallel_map(share, range(0, total, SHARE))
    return result.view_as(padded)[:, :, : height - window + 1, : width - window + 1].contiguous()


def _together(flat: Tensor, width: int, window: int, total: int) -> Tensor:
    """The same in operations that a GPU has too."""
    result = torch.empty_like(flat)
    chunk = CUDA_CHUNK if flat.is_cuda else CPU_CHUNK
    spare: list[Tensor] = []
    for start in range(0, total, chunk):
        count = min(chunk, total - start)
        if count < chunk:
            spare = []
        result[start : start + count] = network(window).run(flat, width, start, count, spare)
    return result
