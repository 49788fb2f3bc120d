"""Trainings in the user's data folder: each one a process of its own, known by files alone.

A run's folder, MIRAGE_DATA/training/NAME, holds the plan, the checkpoint, the curves, sample images and where the run stands. Who
reads it needs nothing from the process that trains; who wants to stop it leaves a file there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core import disk, files
from core.disk import data_root
from core.inputs import InvalidInput, quoted
from core.models import artifacts
from core.training.plans import TrainingPlan
from core.training.run_status import Status, read_status, write_status

MAX_RUNS = 200  # in the list
MAX_CURVES = 20_000_000  # bytes of a file of curves that is read
_ROOT = Path(__file__).resolve().parents[2]
_A = {"classifier": "a classifier", "mask_generator": "a mask generator", "denoiser": "a denoiser"}


@dataclass(frozen=True)
class TrainingRun:
    """One run as its folder describes it; `problem` is a sentence where the plan cannot be read."""

    name: str
    folder: Path
    plan: TrainingPlan | None
    status: Status
    owner: str = ""
    problem: str = ""


def runs_folder() -> Path:
    """Where the runs lie."""
    return data_root() / "training"


def start(plan: TrainingPlan, owner: str = "") -> TrainingRun:
    """Start a run, or resume the one of that plan, as a process that outlives this one.

    Raises:
        InvalidInput: another training is running, one of that name has another plan, something that ships has that name, or nothing can
            be written in the data folder.
    """
    check_name(plan)
    folder = runs_folder() / plan.name
    running = next((run for run in list_runs() if run.status.state == "running"), None)
    if running is not None:
        raise InvalidInput(f"The training {quoted(running.name)} is running; wait until it ends, or stop it.")
    existing = _read(folder) if folder.exists() else None
    if existing is not None and existing.plan != plan:
        raise InvalidInput(
            f"There is a training called {quoted(plan.name)} with other parameters; choose another name, or delete that one."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stop").unlink(missing_ok=True)
        disk.write_whole(folder / "plan.json", (plan.to_json() + "\n").encode())
        if existing is None:
            disk.write_whole(folder / "owner", owner.encode())
        now = time.time()
        write_status(folder, Status("running", "starting", 0, 0, now, now))
        with (folder / "log.txt").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "core", "train", str((folder / "plan.json").absolute())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                env={**os.environ, "MIRAGE_DATA": str(data_root().absolute())},
                start_new_session=True,  # it goes on when the app ends
            )
    except OSError as error:
        raise InvalidInput(f"The training cannot be started: {disk.reason(error)}") from error
    return _read(folder)


def check_name(plan: TrainingPlan) -> None:
    """Refuse a plan whose artifact would have the name of one that ships.

    Raises:
        InvalidInput: it would, or it would overwrite an artifact of another kind.
    """
    if ships(plan):
        raise InvalidInput(
            f"{quoted(plan.artifact)} ships with Mirage; give the plan another name, or the command a folder by --out."
        )
    check_kind(plan, artifacts.user_folder())


def check_kind(plan: TrainingPlan, folder: Path) -> None:
    """Refuse a plan that would overwrite an artifact of another kind in `folder`.

    Raises:
        InvalidInput: it would.
    """
    path = folder / f"{plan.artifact}.json"
    if not path.exists():
        return
    try:
        kind = artifacts.read_artifact(folder, plan.artifact).card.kind
    except InvalidInput:
        return  # a damaged card describes nothing that could be lost
    if kind != plan.kind:
        raise InvalidInput(
            f"{files.display_path(path)} describes {_A[kind]}, which {_A[plan.kind]} of that name would replace; give the plan another "
            "name, or move that file and its weights."
        )


def check_folder(plan: TrainingPlan, folder: Path) -> None:
    """Refuse a folder that holds the checkpoint of a training with another plan.

    Raises:
        InvalidInput: it does.
    """
    if not (folder / "checkpoint.pt").exists():
        return
    try:
        before = TrainingPlan.from_json((folder / "plan.json").read_bytes())
    except (OSError, InvalidInput):
        return  # nothing can be resumed from it
    if before != plan:
        raise InvalidInput(
            f"{files.display_path(folder)} holds a training called {quoted(plan.name)} with other parameters; choose another name or "
            "another folder, or delete that folder."
        )


def ships(plan: TrainingPlan) -> bool:
    """Whether something that ships has the name of the plan's artifact."""
    return any(a.shipped and a.name == plan.artifact for a in artifacts.list_artifacts(plan.kind))


def stop(name: str) -> None:
    """Ask a run to stop at its next step; its last whole epoch is kept.

    Raises:
        InvalidInput: there is none of that name, or its folder cannot be written to.
    """
    folder = _folder(name)
    try:
        (folder / "stop").touch()
    except OSError as error:
        raise InvalidInput(f"The training cannot be stopped: {disk.reason(error)}") from error


def is_stopping(run: TrainingRun) -> bool:
    """Whether a run that still runs was asked to stop."""
    return run.status.state == "running" and (run.folder / "stop").exists()


def delete(name: str) -> None:
    """Delete a run's folder; what it made stays.

    Raises:
        InvalidInput: there is none of that name, it is running, or it cannot be deleted.
    """
    folder = _folder(name)
    if _read(folder).status.state == "running":
        raise InvalidInput(f"The training {quoted(name)} is running; stop it first.")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InvalidInput(f"The training {quoted(name)} cannot be deleted: {files.reason(error)}.") from error


def list_runs() -> list[TrainingRun]:
    """All runs, the newest first."""
    try:
        folders = sorted(path for path in runs_folder().iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:  # no folder yet, or none that may be read
        return []
    return sorted((_read(folder) for folder in folders[:MAX_RUNS]), key=lambda run: -run.status.started)


def find_run(name: str) -> TrainingRun:
    """The run of that name.

    Raises:
        InvalidInput: there is none.
    """
    return _read(_folder(name))


def curves(run: TrainingRun) -> list[dict[str, Any]]:
    """The lines of the run's curves: stage, epoch, step, lr, losses and metrics; what cannot be read is left out."""
    return curves_in(run.folder)


def curves_in(folder: Path) -> list[dict[str, Any]]:
    """The lines of the curves in a run's folder, as `curves` gives them."""
    try:
        text = files.read_bytes(folder / "curves.jsonl", MAX_CURVES).decode("utf-8", "replace")
    except InvalidInput:  # none yet
        return []
    lines = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):  # one that is being written
            value = json.loads(line)
            if isinstance(value, dict) and isinstance(value.get("losses"), dict):
                lines.append(value)
    return lines


def samples(run: TrainingRun) -> dict[str, Tensor]:
    """Sample images by what they show, uint8 N×C×H×W; empty where there are none yet."""
    path = run.folder / "samples.safetensors"
    try:
        files.check_regular(path, MAX_CURVES)
        tensors = load_file(path)
    except (InvalidInput, OSError, ValueError, SafetensorError):
        return {}
    return {
        name: value
        for name, value in tensors.items()
        if value.dtype == torch.uint8 and value.dim() == 4 and value.shape[1] in (1, 3) and value.numel()
    }


def _folder(name: str) -> Path:
    """A run's folder; a name that would lead elsewhere is none."""
    folder = runs_folder() / name
    if not name or name != Path(name).name or name.startswith(".") or not folder.is_dir():
        raise InvalidInput(f"There is no training called {quoted(name)}.")
    return folder


def _read(folder: Path) -> TrainingRun:
    plan, problem = None, ""
    try:
        plan = TrainingPlan.from_json(files.read_bytes(folder / "plan.json", files.MAX_TEXT))
    except InvalidInput as error:
        problem = str(error)
    owner = ""
    with suppress(InvalidInput):
        owner = files.read_bytes(folder / "owner", 1000).decode("utf-8", "replace")
    return TrainingRun(folder.name, folder, plan, read_status(folder), owner, problem)
