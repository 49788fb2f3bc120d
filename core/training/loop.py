"""The training loop: one cycle, checkpoints, resume, and a card with what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.device import mixed, pick
from core.inputs import BadInput, quoted
from core.models.architectures import ARCHITECTURES, Shape, WhitenedResNet
from core.models.artifacts import Card, Metric, load_classifier, save, write_card
from core.training.checkpoints import keep, resume
from core.training.plans import PLANS, Data, Plan, cached

Watch = Callable[[int, int, str], object]  # steps done, steps in all, what is being done


def train(
    name: str,
    out: Path,
    device: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    watch: Watch | None = None,
) -> Card:
    """Train one classifier that ships and write weights and card into `out`; resumes from its checkpoint there.

    Raises:
        BadInput: there is no such plan, or its data set is not in `data_root()`.
    """
    if name not in PLANS:
        raise BadInput(f"There is nothing called {quoted(name)} to train; there are {', '.join(PLANS)}.")
    plan = PLANS[name]
    out.mkdir(parents=True, exist_ok=True)
    pictures, labels = cached(plan, True, out)
    place = pick(device)
    torch.manual_seed(seed)
    network = ARCHITECTURES.build(
        plan.architecture, "classifier", Shape(plan.channels, plan.size, int(labels.max()) + 1)
    )
    if isinstance(network, WhitenedResNet):
        network.set_whitening(_normalised(pictures[:5000].float() / 255, plan))
    fit(
        network,
        plan,
        (pictures, labels),
        place,
        seed=seed,
        epochs=epochs,
        checkpoint=out / f"{name}.checkpoint",
        watch=watch,
    )
    return finish(network.cpu(), plan, cached(plan, False, out), out, seed=seed, epochs=epochs or plan.epochs)


def fit(
    network: nn.Module,
    plan: Plan,
    data: Data,
    device: torch.device,
    *,
    seed: int = 0,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
) -> None:
    """Fit `network` in place. Every epoch draws from a generator of its own, so a resumed run equals an uninterrupted one."""
    pictures, labels = data
    epochs = epochs or plan.epochs
    steps = -(-len(pictures) * plan.repeats // plan.batch)
    network.to(device).to(memory_format=torch.channels_last)
    optimiser = _optimiser(network, plan)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.peak, total_steps=epochs * steps, pct_start=0.25)
    run = {"seed": seed, "epochs": epochs}
    first = resume(checkpoint, run, network, optimiser, schedule)
    for epoch in range(first, epochs):
        network.train()
        generator = torch.Generator().manual_seed(seed * 1000 + epoch)
        torch.manual_seed(seed * 1000 + epoch)  # dropout draws from the global one
        order = torch.cat([torch.randperm(len(pictures), generator=generator) for _ in range(plan.repeats)])
        for number, chosen in enumerate(torch.split(order, plan.batch)):
            views = plan.view(pictures[chosen].float() / 255, generator, epoch / epochs)
            batch = _normalised(views, plan).to(device, memory_format=torch.channels_last)
            with mixed(device):  # the weights stay in float32, which keeps the accuracy
                logits = network(batch)
            loss = F.cross_entropy(logits.float(), labels[chosen].to(device), label_smoothing=plan.smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if watch is not None:
                watch(
                    epoch * steps + number + 1,
                    epochs * steps,
                    f"epoch {epoch + 1} of {epochs}, loss {float(loss.detach()):.3f}",
                )
        if checkpoint is not None:
            keep(checkpoint, run, network, optimiser, schedule, epoch + 1)
    network.eval()


def finish(network: nn.Module, plan: Plan, test: Data, out: Path, *, seed: int, epochs: int) -> Card:
    """Write the weights, measure what was written (in float32, after the round trip through 16 bits), and write the card."""
    name = f"{plan.domain}_{plan.name}"
    artifact = save(
        network,
        name,
        out,
        kind="classifier",
        title=plan.title,
        domain=plan.domain,
        architecture=plan.architecture,
        channels=plan.channels,
        size=plan.size,
        mean=plan.scale.mean,
        std=plan.scale.std,
        cam_layer=plan.cam_layer,
        plan=name,
        data=plan.data,
        command=f"python -m core train {name} --seed {seed} --epochs {epochs}",
        description=plan.note,
        licence=plan.licence,
    )
    pictures, labels = test
    classifier = load_classifier(artifact, tuple(str(i) for i in range(int(labels.max()) + 1)))
    correct = 0
    with torch.inference_mode():
        for part, truth in zip(torch.split(pictures, 250), torch.split(labels, 250), strict=True):
            correct += int((classifier(part.float() / 255).argmax(1) == truth).sum())
    metric = Metric(what="right on the test pictures", value=correct / len(labels), correct=correct, count=len(labels))
    return write_card(artifact, metrics=(metric,)).card


def _normalised(pictures: Tensor, plan: Plan) -> Tensor:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (plan.scale.mean, plan.scale.std))
    return (pictures - mean) / std


def _optimiser(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": plan.decay},
        {
            "params": [p for p in trained if p.dim() <= 1],
            "weight_decay": 0.0,
        },  # norms and biases have nothing to shrink for
    ]
    if plan.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=plan.peak)
    return torch.optim.SGD(groups, lr=plan.peak, momentum=0.9, nesterov=True)
