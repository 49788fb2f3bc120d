"""How far a computation is: one type and one callback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.attacks import Step


@dataclass(frozen=True)
class Progress:
    """How far a computation is.

    Attributes:
        text: what is being computed, in a few words.
        done, total: parts that are done, and all parts: an attack's steps, images, bytes of a download.
        step: the step of an attack, where one runs.
        eta: seconds that are left; None where there is no estimate.
    """

    text: str
    done: int
    total: int
    step: Step | None = None
    eta: float | None = None


OnProgress = Callable[[Progress], bool | None]  # returns True to stop; what is complete is kept
