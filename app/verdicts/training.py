"""The headline of a training, true in every state."""

from __future__ import annotations

from app.text import duration
from core.training.runs import TrainingRun


def training_verdict(run: TrainingRun | None, figure: str = "") -> str:
    """Where the run stands; `figure` is the first on the card of what it made."""
    if run is None:
        return "Train a classifier, a denoiser or attention masks, and use what comes of it at once."
    if run.plan is None:
        return "This training cannot be shown."
    status, name = run.status, run.name
    share = f"{100 * status.step / status.steps:.0f} %" if status.steps else ""
    match status.state:
        case "running":
            if not status.steps:
                return f"{name} is starting."
            left = "" if status.seconds_left is None else f", about {duration(status.seconds_left)} left"
            return f"{name} is {share} through its {_phase(run)}{left}."
        case "done":
            return f"{name} is trained{f': {figure}' if figure else ''}."
        case "failed":
            return f"{name} failed."
        case "stopped":
            at = f" at {share}" if share else ""
            return f"{name} was stopped{at}. Resume goes on after its last whole epoch."
    at = f" at {share}" if share else ""
    return f"{name} was interrupted{at}: its process ended. Resume goes on after its last whole epoch."


def _phase(run: TrainingRun) -> str:
    return "adversarial images" if run.status.text.startswith("crafting") else "training"
