"""Training's headline, in every state."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.verdicts.training import training_verdict
from core.training import find_plan
from core.training.run_status import Status
from core.training.runs import TrainingRun


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status("running"), "x is starting."),
        (Status("running", "reader", 50, 100), "x is 50 % through its training."),
        (
            Status("running", "reader", 50, 100, 0, 20, since_step=40, since=10),
            "x is 50 % through its training, about 50 s left.",
        ),
        (Status("running", "crafting fgsm", 1, 4), "x is 25 % through its adversarial images."),
        (Status("done", "", 9, 9), "x is trained: right 90 %."),
        (Status("failed", error="Why."), "x failed."),
        (Status("stopped"), "x was stopped. Resume goes on after its last whole epoch."),
        (
            Status("interrupted", "", 1, 2),
            "x was interrupted at 50 %: its process ended. Resume goes on after its last whole epoch.",
        ),
    ],
)
def test_the_headline_tells_the_state(status: Status, text: str) -> None:
    run = TrainingRun("x", Path("x"), find_plan("mnist_a"), status)
    assert training_verdict(run, "right 90 %") == text


def test_without_a_run_or_a_plan_it_says_so() -> None:
    assert training_verdict(None).startswith("Train a classifier")
    assert training_verdict(TrainingRun("x", Path("x"), None, Status())) == "This training cannot be shown."
