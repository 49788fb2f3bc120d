"""Checkpoints of a training that may be cut off, and the curves beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.inputs import InvalidInput


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write what a training needs to go on, whole or not at all.

    Raises:
        InvalidInput: it cannot be written there.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)  # a run that is killed here leaves the checkpoint before
    except (OSError, RuntimeError) as error:  # torch's writer tells of a full disk as a RuntimeError
        raise InvalidInput(
            f"The checkpoint {path} cannot be written: {error}. Free some space, or choose another folder."
        ) from error


def load_checkpoint(path: Path, run: str) -> dict[str, Any] | None:
    """The checkpoint at `path`; None where there is none, or where it is another run's.

    Raises:
        InvalidInput: it is damaged.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # it may have been written on another device
        if state["run"] != run:
            return None
        if not all(isinstance(state[word], int) and state[word] >= 0 for word in ("stage", "epoch")):
            raise ValueError("its epoch is no number")
        if not 0 <= state["seconds"] < 1e9:  # false for NaN, too
            raise ValueError("its time is no number of seconds")
        for weights in state["networks"].values():
            if not all(bool(value.isfinite().all()) for value in weights.values()):
                raise ValueError("its weights are not finite")
    except Exception as error:  # a damaged archive raises whatever its bytes make the reader raise
        raise damaged(path) from error
    return dict(state)


def fill(path: Path, networks: Mapping[str, nn.Module], weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give the networks a checkpoint's weights; where they do not fit, all stay as they were.

    Raises:
        InvalidInput: they do not fit.
    """
    before = {name: {k: v.clone() for k, v in network.state_dict().items()} for name, network in networks.items()}
    try:
        for name, network in networks.items():
            network.load_state_dict(weights[name])
    except Exception as error:  # tables that do not fit fail in many ways
        for name, network in networks.items():
            network.load_state_dict(before[name])
        raise damaged(path) from error


def damaged(path: Path) -> InvalidInput:
    """What to do about a checkpoint that cannot be used."""
    return InvalidInput(
        f"The checkpoint {path} is damaged or of another network; delete it, or choose another folder, to begin anew."
    )


class Curves:
    """One JSON line for every few steps: stage, epoch, step, learning rate, named losses and metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep_until(self, stage: int, epoch: int) -> None:
        """Drop what is not before that epoch of that stage: the run computes it again."""
        lines = []
        try:
            for line in self.path.read_text(encoding="utf-8").splitlines():
                value = json.loads(line)
                if (value["stage"], value["epoch"]) < (stage, epoch):
                    lines.append(line + "\n")
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a line that was cut off: it and what follows is computed again
        part = self.path.with_suffix(".part")
        part.write_text("".join(lines), encoding="utf-8")
        part.replace(self.path)

    def add(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
