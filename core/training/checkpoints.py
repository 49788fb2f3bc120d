"""Checkpoints of a training that may be cut off."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from core.inputs import BadInput


def keep(
    path: Path,
    run: dict[str, int],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epoch: int,
) -> None:
    """Write what a training needs to go on behind `epoch` epochs, whole or not at all.

    Raises:
        BadInput: it cannot be written there.
    """
    part = path.with_suffix(".part")
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    try:
        torch.save({**state, "run": run, "epoch": epoch}, part)
        part.replace(path)  # a run that is killed here leaves the checkpoint before
    except (OSError, RuntimeError) as error:  # torch's writer tells of a full disk as a RuntimeError
        raise BadInput(
            f"The checkpoint {path} cannot be written: {error}. Free some space, or choose another folder."
        ) from error


def resume(
    path: Path | None,
    run: dict[str, int],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Go on from the checkpoint at `path` if it is of the same run; gives the epoch to begin with.

    Raises:
        BadInput: it is damaged, or of another network; the sentence says how to begin anew.
    """
    if path is None or not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # it may have been written on another device
        if state.get("run") != run:
            return 0  # of another seed or another length: its schedule is not ours
        epoch, before = state["epoch"], copy.deepcopy(network.state_dict())
        if not isinstance(epoch, int) or not 0 <= epoch <= run["epochs"]:
            raise ValueError("its epoch is out of range")
        if not all(bool(value.isfinite().all()) for value in state["network"].values()):
            raise ValueError("its weights are not finite")
    except Exception as error:  # a damaged archive raises whatever its bytes make the reader raise
        raise BadInput(_damaged(path)) from error
    try:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    except Exception as error:  # likewise for tables that do not fit
        network.load_state_dict(before)
        raise BadInput(_damaged(path)) from error
    return epoch


def _damaged(path: Path) -> str:
    return (
        f"The checkpoint {path} is damaged or of another network; delete it, or choose another folder, to begin anew."
    )
