"""Training of what ships: `python -m core train NAME`."""

from __future__ import annotations

from pathlib import Path

from core.training.loop import Watch
from core.training.loop import train as train_classifier
from core.training.masks import MASK_PLANS, train_masks
from core.training.plans import PLANS

NAMES = (*PLANS, *MASK_PLANS)


def train(
    name: str,
    out: Path,
    device: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    watch: Watch | None = None,
) -> object:
    """Train what ships under that name and write weights and card into `out`; resumes from its checkpoint there.

    Raises:
        BadInput: there is no such plan, or its data set is not in `data_root()`.
    """
    teach = train_masks if name in MASK_PLANS else train_classifier
    return teach(name, out, device, seed=seed, epochs=epochs, watch=watch)


__all__ = ["NAMES", "train"]
