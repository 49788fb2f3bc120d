"""Recording an attack on one image step by step, for the views of it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from core import images
from core.progress import OnProgress, Progress
from core.recipe.example import Pixels
from core.recipe.outcome import Trace

MAX_SNAPSHOTS = 120  # images kept of an attack at most; a longer one keeps every second, fourth, ... step


class AttackRecorder:
    """Keeps what a view needs of every step and a bounded number of images, and passes the progress on under its own text."""

    def __init__(self, label: int, text: str, on_progress: OnProgress | None) -> None:
        self.label, self.text, self.on_progress = label, text, on_progress
        self.fooled = False
        self.steps_to_success: int | None = None
        self.stride = 1
        self.numbers: list[int] = []
        self.loss: list[float] = []
        self.confidence: list[float] = []
        self.runner_up_confidence: list[float] = []
        self.predicted: list[int] = []
        self.snapshots: dict[int, Pixels] = {}
        self.last: tuple[int, Pixels] | None = None
        self.seen: Tensor | None = None

    def __call__(self, progress: Progress) -> bool | None:
        step = progress.step
        assert step is not None, "an attack reports its steps"
        if step.logits is self.seen:  # nothing new was looked at
            return self.report(progress)
        self.seen = step.logits
        probabilities = step.logits[0].detach().float().softmax(0).cpu()
        others = probabilities.clone()
        others[self.label] = -1
        strongest = int(step.targets[0]) if step.targets is not None else int(others.argmax())
        if self.numbers and self.numbers[-1] == step.number:  # an attack's last word on the same step: what it returns
            for series in (self.numbers, self.loss, self.confidence, self.runner_up_confidence, self.predicted):
                series.pop()
        self.numbers.append(step.number)
        self.loss.append(float(step.loss[0]))
        self.confidence.append(float(probabilities[self.label]))
        self.runner_up_confidence.append(float(probabilities[strongest]))
        self.predicted.append(int(probabilities.argmax()))
        self.fooled = bool(step.fooled[0])
        if self.fooled and self.steps_to_success is None:
            self.steps_to_success = step.number
        self.last = (step.number, images.to_pixels(step.images)[0])
        if step.number % self.stride == 0:
            self.snapshots[step.number] = self.last[1]
            if len(self.snapshots) > MAX_SNAPSHOTS:
                self.stride *= 2
                self.snapshots = {n: f for n, f in self.snapshots.items() if n % self.stride == 0}
        return self.report(progress)

    def report(self, progress: Progress) -> bool | None:
        """Pass the progress on and record nothing."""
        return self.on_progress(replace(progress, text=self.text)) if self.on_progress else None

    def first_success(self, success: bool) -> int:
        """The step that fooled first; the last one where none did or the attack failed in the end."""
        if success and self.steps_to_success is not None:
            return self.steps_to_success
        return self.numbers[-1] if self.numbers else 0

    def trace(self) -> Trace:
        if self.last is not None:
            self.snapshots[self.last[0]] = self.last[1]
        return Trace(
            numbers=tuple(self.numbers),
            loss=tuple(self.loss),
            confidence=tuple(self.confidence),
            runner_up_confidence=tuple(self.runner_up_confidence),
            predicted=tuple(self.predicted),
            snapshot_steps=tuple(sorted(self.snapshots)),
            snapshots=tuple(self.snapshots[n] for n in sorted(self.snapshots)),
        )
