"""The contract of an objective: a pure function from networks and a batch to named losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.inputs import InvalidInput, quoted

Networks = Mapping[str, Callable[[Tensor], Any]]
Param = bool | int | float | str


@dataclass(frozen=True)
class Batch:
    """One batch of training images.

    Attributes:
        images: augmented, float32 N×C×H×W in [0, 1]. labels: int64 N.
        generator: the step's randomness, on the device of the images.
        crafted: adversarial versions of the images, one for each attack of the plan, float32 N×V×C×H×W; V is 0 without attacks.
    """

    images: Tensor
    labels: Tensor
    generator: torch.Generator
    crafted: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass(frozen=True)
class Terms:
    """What an objective computes of a batch: losses, the sum of which is minimized, and metrics that are only recorded."""

    losses: Mapping[str, Tensor]
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


Objective = Callable[..., Terms]
OBJECTIVES: dict[str, Objective] = {}


def objective(name: str) -> Callable[[Objective], Objective]:
    """A decorator that enters an objective `(networks, batch, *, parameters) -> Terms` under that name."""

    def add(function: Objective) -> Objective:
        OBJECTIVES[name] = function
        return function

    return add


SHARES = ("clean", "label_smoothing", "min_scale")  # parameters in [0, 1]


def _check_range(what: str, name: str, word: str, value: Param, annotation: object) -> None:
    """Refuse a number that no objective and no augmentation can take: their parameters are sizes, weights, counts and shares.

    Raises:
        InvalidInput: the sentence says which.
    """
    if isinstance(value, str):
        return
    share = word in SHARES or (word == "eps" and name != "flow_certificate")  # that one's is in pixels
    least, most = (1 if word == "steps" else 0), (1.0 if share else 1e6)
    in_range = least <= value <= most  # false for NaN, too
    if not in_range or (annotation == "int" and value != int(value)):
        kind = "a whole number" if annotation == "int" else "a number"
        raise InvalidInput(f"The {what} {name!r} takes {kind} from {least} to {most:g} as {word!r}, not {value}.")


def check_params(what: str, known: Mapping[str, Callable[..., object]], name: str, params: Mapping[str, Param]) -> None:
    """Refuse a name that is not known, or parameters that its function does not take by keyword.

    Raises:
        InvalidInput: the sentence says which.
    """
    if name not in known:
        raise InvalidInput(f"There is no {what} called {quoted(name)}; there are {', '.join(sorted(known))}.")
    declared = {
        p.name: p
        for p in inspect.signature(known[name]).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for word, value in params.items():
        if word not in declared:
            raise InvalidInput(
                f"The {what} {name!r} has no parameter {quoted(word)}; it has {', '.join(declared) or 'none'}."
            )
        if isinstance(value, str) != (declared[word].annotation == "str"):
            kind = "text" if declared[word].annotation == "str" else "a number"
            raise InvalidInput(f"The {what} {name!r} takes {kind} as {word!r}, not {quoted(value)}.")
        _check_range(what, name, word, value, declared[word].annotation)
    missing = [word for word, p in declared.items() if p.default is p.empty and word not in params]
    if missing:
        raise InvalidInput(f"The {what} {name!r} needs {' and '.join(map(repr, missing))}.")
