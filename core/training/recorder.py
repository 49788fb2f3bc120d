"""What the process of a training writes into its run's folder: where it stands, sample images, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core import files
from core.inputs import InvalidInput
from core.training.run_status import Status, read_status, write_status

EVERY = 0.5  # seconds between two notes of where a run stands


class Recorder:
    """The training process's side: one process a folder, notes of where it stands, and whether it is asked to stop.

    Use it as a context manager around a training.

    Raises:
        InvalidInput: another process trains in this folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, FileLock(folder / "lock")
        now = time.time()
        self.status, self.noted = Status("running", "starting", 0, 0, now, now), 0.0

    def __enter__(self) -> Recorder:
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise InvalidInput(
                f"Another process trains in {files.display_path(self.folder)}; wait until it ends."
            ) from None
        # `runs.start` removed an older request to stop; one that is there while the run is starting is for this process.
        if read_status(self.folder).text != "starting":
            (self.folder / "stop").unlink(missing_ok=True)
        write_status(self.folder, self.status)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            text = str(error) if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"
            stopped = isinstance(error, KeyboardInterrupt)
            self._note(state="stopped" if stopped else "failed", error="" if stopped else text[:500])
        elif self.status.state == "running":
            self._note(state="stopped")
        self.lock.release()

    def progress(self, text: str, step: int, steps: int) -> bool:
        """Note how far it is; True where it is asked to stop."""
        if time.time() - self.noted > EVERY:
            pace = {}
            if steps != self.status.steps or step < self.status.step:
                pace = {"since_step": step, "since": time.time()}
            self._note(text=text, step=step, steps=steps, **pace)
        return (self.folder / "stop").exists()

    def show(self, images: Mapping[str, Tensor]) -> None:
        """Keep sample images, uint8 N×C×H×W, by what they show."""
        if images:
            draft = self.folder / "samples.part"
            with suppress(OSError, SafetensorError):  # a training does not fail for its samples
                save_file({name: value.contiguous() for name, value in images.items()}, draft)
                draft.replace(self.folder / "samples.safetensors")

    def finish(self, text: str) -> None:
        """Note that it is done."""
        self._note(state="done", text=text, step=self.status.steps)

    def _note(self, **changes: Any) -> None:
        self.noted = time.time()
        self.status = Status(**{**asdict(self.status), "updated": self.noted, **changes})
        with suppress(OSError):  # a full disk is told by the checkpoint
            write_status(self.folder, self.status)
