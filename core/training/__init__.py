"""Training of everything with weights: `python -m core train PLAN`."""

from __future__ import annotations

from pathlib import Path

import torch

from core.models.artifacts import Card
from core.training.crafting import craft_images
from core.training.data import load_data
from core.training.kinds import KINDS, card_fields
from core.training.parallel import join, leave
from core.training.plans import PLANS, TrainingPlan, find_plan
from core.training.trainer import OnProgress, Trainer, TrainingProgress


def train(
    plan: TrainingPlan, out: Path, device: str | None = None, on_progress: OnProgress | None = None
) -> Card | None:
    """Train a plan and write weights and card into `out`; the run's plan, curves and checkpoint lie in `out`/NAME.

    It goes on from its checkpoint there. Started by torchrun, the processes share every batch, and the first one writes.

    Returns:
        The card; None where `on_progress` stopped the run, and in all processes but the first.

    Raises:
        BadInput: the data set is not on this machine, or the checkpoint is damaged.
    """
    kind = KINDS[plan.kind]
    group, place = join(device)
    try:
        folder = out / plan.name
        folder.mkdir(parents=True, exist_ok=True)
        data = load_data(plan.dataset, True, folder)
        torch.manual_seed(plan.seed)
        networks = kind.build(plan, data, place)
        if group.leads:
            (folder / "plan.json").write_text(plan.to_json() + "\n", encoding="utf-8")
        crafted = craft_images(plan, networks, data, place, folder, on_progress if group.leads else None)
        if plan.crafted and crafted is None:
            return None
        trainer = Trainer(plan, networks, data, place, folder=folder, group=group, crafted=crafted)
        if not trainer.fit(on_progress if group.leads else None) or not group.leads:
            return None
    finally:
        leave(group)
    for network in networks.values():
        network.cpu()
    test = load_data(plan.dataset, False, folder)
    return kind.export(plan, networks, test, out, card_fields(plan, command(plan))).card


def command(plan: TrainingPlan) -> str:
    """What trains that plan: by its name where one of that name ships and differs in no more than seed and epochs."""
    epochs = plan.stages[0].epochs
    if plan.name in PLANS and find_plan(plan.name).replace(seed=plan.seed, epochs=epochs) == plan:
        return f"python -m core train {plan.name} --seed {plan.seed} --epochs {epochs}"
    return f"python -m core train {plan.name}/plan.json"


__all__ = ["PLANS", "Trainer", "TrainingPlan", "TrainingProgress", "find_plan", "train"]
