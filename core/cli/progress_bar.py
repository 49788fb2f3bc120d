"""A progress bar in the terminal."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from core.progress import Progress


class ProgressBar:
    """A bar that follows `Progress`; a new one wherever the total changes."""

    def __enter__(self) -> ProgressBar:
        self.bar: tqdm[Any] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, progress: Progress) -> None:
        """Draw how far the work is."""
        if self.bar is None or self.bar.total != progress.total:
            if self.bar is not None:
                self.bar.close()
            self.bar = tqdm(total=progress.total, unit="step", leave=False, file=sys.stderr)
        self.bar.set_description(progress.text, refresh=False)
        self.bar.update(progress.done - self.bar.n)
