"""The optimizer of a stage and the course of its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from core.training.plans import Stage


def build_optimizer(stage: Stage, network: nn.Module) -> torch.optim.Optimizer:
    """The stage's optimizer; norms and biases, which have nothing to shrink for, get no weight decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=stage.max_lr, momentum=0.9, nesterov=True)
    return (torch.optim.Adam if stage.optimizer == "adam" else torch.optim.AdamW)(groups, lr=stage.max_lr)


def build_schedule(stage: Stage, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """One cycle of the learning rate over that many steps: a rise to the stage's `max_lr`, then a fall."""
    # Where the rise takes exactly one step, torch divides by its length less one, which is 0.
    warmup = stage.warmup + (1e-9 if stage.warmup * steps == 1 else 0)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.max_lr, total_steps=steps, pct_start=warmup)
