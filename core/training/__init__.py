"""Training of everything with weights: `python -m core train PLAN`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core import files
from core.device import describe
from core.models import artifacts
from core.models.cards import Card
from core.progress import OnProgress, Progress
from core.training import runs
from core.training.crafting import craft_images
from core.training.data import load_data
from core.training.judging import split_held_out
from core.training.kinds import KINDS, Networks, card_fields
from core.training.parallel import Group, join, leave
from core.training.plans import TrainingPlan
from core.training.recorder import Recorder
from core.training.shipped import PLANS, find_plan
from core.training.trainer import Trainer, TrainingProgress
from core.training.trial import refusal, try_stages

SAMPLES = 8  # images shown while a run trains


def train(
    plan: TrainingPlan, out: Path | None = None, device: str | None = None, on_progress: OnProgress | None = None
) -> Card | None:
    """Train a plan and write weights and card; the run's plan, curves, samples and checkpoint lie in a folder of its name.

    It goes on from its checkpoint there. Started by torchrun, the processes share every batch, and the first one writes.

    Args:
        out: where weights, card and the run's folder go. Without it they go to MIRAGE_DATA/artifacts and MIRAGE_DATA/training, where
            the result is used at once.

    Returns:
        The card; None where the run was stopped, and in all processes but the first.

    Raises:
        InvalidInput: the data set is not on this machine; the plan does not fit together; the checkpoint is damaged or of another plan;
            another process trains in the folder; the name is that of an artifact of another kind or, without `out`, of one that ships.
    """
    if out is None:
        runs.check_name(plan)
    folder = (runs.runs_folder() if out is None else out) / plan.name
    group, chosen_device = join(device)
    try:
        files.check_writable(folder)
        runs.check_folder(plan, folder)
        if out is not None:
            runs.check_kind(plan, out)
        if not group.leads:
            _fit(plan, folder, chosen_device, group, None)
            return None
        with Recorder(folder) as recorder:
            (folder / "plan.json").write_text(plan.to_json() + "\n", encoding="utf-8")

            def report(progress: Progress) -> bool:
                stopped = recorder.progress(progress.text, progress.done, progress.total)
                return bool(on_progress is not None and on_progress(progress)) or stopped

            trained = _fit(plan, folder, chosen_device, group, report, recorder.show)
            if trained is None:
                return None
            networks, seconds = trained
            report(Progress("measuring", recorder.status.steps, recorder.status.steps))
            for network in networks.values():
                network.cpu()
            test = load_data(plan.dataset, False, folder)
            weights = artifacts.user_folder() if out is None else out
            fields = card_fields(plan, command(plan), seconds, describe(str(chosen_device)))
            card = KINDS[plan.kind].export(plan, networks, test, weights, fields).card
            recorder.finish(card.figures())
            return card
    finally:
        leave(group)


def _fit(
    plan: TrainingPlan,
    folder: Path,
    device: torch.device,
    group: Group,
    on_progress: OnProgress | None,
    show: Callable[[Mapping[str, Tensor]], None] | None = None,
) -> tuple[Networks, float] | None:
    """The trained networks and how many seconds it took; None where the run was stopped. `show` gets sample images after each epoch."""
    kind, started = KINDS[plan.kind], time.monotonic()
    data = load_data(plan.dataset, True, folder)
    torch.manual_seed(plan.seed)
    data, held_out = split_held_out(plan, data)
    with refusal(plan):
        networks = kind.build(plan, data, device)
        try_stages(plan, networks, data, device)
    crafted = craft_images(plan, networks, data, device, folder, on_progress)
    if plan.crafted and crafted is None:
        return None

    def after_epoch() -> None:
        if show is not None:
            show(
                kind.samples(
                    networks, data[0][:SAMPLES].to(device), None if crafted is None else crafted[:SAMPLES].to(device)
                )
            )

    trainer = Trainer(
        *(plan, networks, data, device),
        folder=folder,
        group=group,
        crafted=crafted,
        after_epoch=after_epoch,
        held_out=held_out,
        started=started,
    )
    return (networks, trainer.seconds) if trainer.fit(on_progress) else None


def command(plan: TrainingPlan) -> str:
    """What trains that plan: by its name where one of that name ships and differs in no more than seed and epochs."""
    epochs = plan.stages[0].epochs
    if plan.name in PLANS and find_plan(plan.name).replace(seed=plan.seed, epochs=epochs) == plan:
        return f"python -m core train {plan.name} --seed {plan.seed} --epochs {epochs}"
    return f"python -m core train {plan.name}/plan.json"


__all__ = ["PLANS", "Trainer", "TrainingPlan", "TrainingProgress", "find_plan", "train"]
