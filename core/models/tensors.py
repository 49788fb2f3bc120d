"""Whether the tensors of a file are those of a network."""

from __future__ import annotations

import torch
from torch import Tensor

from core.inputs import InvalidInput, quoted, shape_text


def check_tensors(state: dict[str, Tensor], expected: dict[str, Tensor], sentence: str) -> None:
    """Refuse tensors of other names or shapes than the network's, and values that are no numbers.

    Raises:
        InvalidInput: the first thing that is wrong.
    """
    for words, names in (
        ("lack", expected.keys() - state.keys()),
        ("have the unknown", state.keys() - expected.keys()),
    ):
        if names:
            raise InvalidInput(f"{sentence}: they {words} {', '.join(map(quoted, sorted(names)[:3]))}.")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise InvalidInput(
                f"{sentence}: {name} is {shape_text(tensor)} there and must be {shape_text(expected[name])}."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise InvalidInput(f"{sentence}: {name} holds NaN or infinite values.")
