"""Checkpoints of a training that may be cut off."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn


def keep(
    path: Path,
    run: dict[str, int],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epoch: int,
) -> None:
    """Write what a training needs to go on behind `epoch` epochs, whole or not at all."""
    part = path.with_suffix(".part")
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    torch.save({**state, "run": run, "epoch": epoch}, part)
    part.replace(path)  # a run that is killed here leaves the checkpoint before


def resume(
    path: Path | None,
    run: dict[str, int],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Go on from the checkpoint at `path` if it is of the same run; gives the epoch to begin with."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)  # it may have been written on another device
    if state.get("run") != run:
        return 0  # of another seed or another length: its schedule is not ours
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epoch"])
