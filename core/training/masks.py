"""How the attention masks that ship are trained: the generator on the classifier, then the network that reads its masks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import domains
from core.device import mixed, pick
from core.explain.masks import (
    Distance,
    Kind,
    LeNet,
    attention_loss,
    blend,
    build_generator,
    cross_entropy,
    load_attention,
    noise_like,
)
from core.models.artifacts import Artifact, Card, Metric, save, write_card
from core.models.classifier import Classifier
from core.training.checkpoints import keep, resume
from core.training.plans import PLANS, cached

FORMS: dict[Kind, str] = {"fc": "fully connected", "conv": "convolutional"}

Watch = Callable[[int, int, str], object]


@dataclass(frozen=True)
class MaskPlan:
    """Everything that training needs to know about one mask generator."""

    domain: str
    classifier: str
    kind: Kind
    beta: float
    epochs: int
    reader_epochs: int = 10
    batch: int = 256
    peak: float = 1e-3

    @property
    def name(self) -> str:
        return f"{self.domain}_{self.classifier}_{self.kind}_{self.beta:g}"


_BETAS = (1.0, 3.0, 9.0)
_PLANS = (
    *(MaskPlan("cifar10", "alexnet", "fc", beta, epochs=8) for beta in _BETAS),
    *(MaskPlan("mnist", "a", "fc", beta, epochs=6) for beta in _BETAS),
    # Weights that are shared by all places are learnt from fewer pictures.
    *(MaskPlan("cifar10", "alexnet", "conv", beta, epochs=4, peak=3e-3) for beta in _BETAS),
    *(MaskPlan("mnist", "a", "conv", beta, epochs=2, reader_epochs=6, peak=3e-3) for beta in _BETAS),
)
MASK_PLANS: dict[str, MaskPlan] = {f"masks_{plan.name}": plan for plan in _PLANS}


def train_masks(
    name: str,
    out: Path,
    device: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    watch: Watch | None = None,
) -> Card:
    """Train one generator and its reader and write weights and card into `out`; resumes from its checkpoints there."""
    plan = MASK_PLANS[name]
    out.mkdir(parents=True, exist_ok=True)
    place = pick(device)
    classifier = domains.get(plan.domain).classifier(plan.classifier, str(place))
    source = PLANS[f"{plan.domain}_{plan.classifier}"]
    pictures, labels = cached(source, True, out)
    torch.manual_seed(seed)
    generator = build_generator(plan.kind, classifier)
    reader = LeNet(classifier.channels, len(classifier.classes)).to(place)
    epochs = epochs or plan.epochs
    fit_masks(
        generator,
        classifier,
        pictures,
        beta=plan.beta,
        epochs=epochs,
        batch=plan.batch,
        peak=plan.peak,
        seed=seed,
        checkpoint=out / f"{name}.checkpoint",
        watch=watch,
    )
    _fit_reader(reader, generator, plan, (pictures, labels), out / f"{name}.reader.checkpoint", seed, watch)
    about = {
        "kind": "mask_generator",
        "title": f"Attention masks of {classifier.title}, {FORMS[plan.kind]}, β {plan.beta:g}",
        "domain": plan.domain,
        "architecture": plan.kind,
        "channels": classifier.channels,
        "size": classifier.size,
        "parameters": sum(p.numel() for p in generator.parameters()),
        "trained_against": plan.classifier,
        "plan": name,
        "data": f"{source.data}, {len(labels)} training pictures",
        "command": f"python -m core train {name} --seed {seed} --epochs {epochs}",
        "hyperparameters": {"beta": plan.beta},
        "licence": source.licence,
    }
    networks = nn.ModuleDict({"generator": generator.cpu(), "reader": reader.cpu()})
    return _measure(save(networks, plan.name, out, **about), classifier.cpu(), cached(source, False, out))


def fit_masks(
    generator: nn.Module,
    classifier: Callable[[Tensor], Tensor],
    pictures: Tensor,
    *,
    beta: float,
    epochs: int,
    batch: int,
    peak: float,
    seed: int = 0,
    distance: Distance = cross_entropy,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
) -> None:
    """Fit a generator in place to pictures uint8 N×C×H×W by equation 9; `classifier` takes N×C×H×W in [0, 1] and stays as it is."""
    place = next(generator.parameters()).device
    optimiser = torch.optim.Adam(generator.parameters(), lr=peak)
    with torch.no_grad():  # F(x) does not change while the masks are learnt
        clean = torch.cat([classifier(part.to(place).float() / 255) for part in torch.split(pictures, 500)])

    def loss_of(chosen: Tensor, draw: torch.Generator) -> Tensor:
        images = (pictures[chosen].to(place).float() / 255).contiguous(memory_format=torch.channels_last)
        with mixed(place) if distance is cross_entropy else nullcontext():
            corruption = generator(images).float()
            outputs = classifier(blend(images, corruption, noise_like(images, draw)))
        return attention_loss(outputs.float(), clean[chosen.to(place)], corruption, beta, distance).mean()

    _learn(generator, loss_of, optimiser, len(pictures), batch, epochs, seed * 1000, checkpoint, "mask network", watch)


def _learn(
    network: nn.Module,
    loss_of: Callable[[Tensor, torch.Generator], Tensor],
    optimiser: torch.optim.Optimizer,
    count: int,
    batch: int,
    epochs: int,
    seed: int,
    checkpoint: Path | None,
    what: str,
    watch: Watch | None,
    warm: float = 0.2,
) -> None:
    """One cycle over `count` pictures, `batch` at a time, its rate rising for the share `warm` of the steps.

    Every epoch draws from a generator of its own, so that a run which was cut off ends as one which was not.
    """
    steps = -(-count // batch)
    peak = optimiser.param_groups[0]["lr"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=epochs * steps, pct_start=warm)
    run = {"seed": seed, "epochs": epochs}
    for epoch in range(resume(checkpoint, run, network, optimiser, schedule), epochs):
        network.train()
        draw = torch.Generator().manual_seed(seed + epoch)
        for number, chosen in enumerate(torch.split(torch.randperm(count, generator=draw), batch)):
            loss = loss_of(chosen, draw)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if watch is not None:
                text = f"{what}, epoch {epoch + 1} of {epochs}, loss {float(loss.detach()):.3f}"
                watch(epoch * steps + number + 1, epochs * steps, text)
        if checkpoint is not None:
            keep(checkpoint, run, network, optimiser, schedule, epoch + 1)
    network.eval()


def _fit_reader(
    reader: nn.Module,
    generator: nn.Module,
    plan: MaskPlan,
    data: tuple[Tensor, Tensor],
    checkpoint: Path,
    seed: int,
    watch: Watch | None,
) -> None:
    """Fit f2 to the masks of the training pictures, moved a little each time, against their true classes."""
    pictures, labels = data
    view = PLANS[f"{plan.domain}_{plan.classifier}"].view
    place = next(reader.parameters()).device
    optimiser = torch.optim.AdamW(reader.parameters(), lr=3e-3, weight_decay=1e-3)

    def loss_of(chosen: Tensor, draw: torch.Generator) -> Tensor:
        with torch.no_grad():
            masks = 1 - generator(view(pictures[chosen].float() / 255, draw, 0.0).to(place))
        return F.cross_entropy(reader(masks), labels[chosen].to(place))

    epochs = plan.reader_epochs
    _learn(
        reader, loss_of, optimiser, len(labels), plan.batch, epochs, seed * 1000 + 500, checkpoint, "reader", watch, 0.3
    )


@torch.inference_mode()
def _measure(artifact: Artifact, classifier: Classifier, test: tuple[Tensor, Tensor]) -> Card:
    """How often f2 is right on masks of test pictures, and how often f1 keeps its class on the corrupted ones."""
    found = load_attention(artifact)
    pictures, labels = test
    draw = torch.Generator().manual_seed(0)
    right = kept = 0
    corrupted = 0.0
    for part, truth in zip(torch.split(pictures, 250), torch.split(labels, 250), strict=True):
        images = part.float() / 255
        right += int((found.read(images).argmax(1) == truth).sum())
        kept += int((classifier(found.corrupted(images, draw)).argmax(1) == classifier(images).argmax(1)).sum())
        corrupted += float(found.corruption(images).mean()) * len(part)
    count = len(labels)
    metrics = (
        Metric(what="masks of test pictures that f2 reads right", value=right / count, correct=right, count=count),
        Metric(what="corrupted test pictures that keep f1's class", value=kept / count, correct=kept, count=count),
        Metric(what="values that may be noise, the mean of A", value=corrupted / count, count=count),
    )
    return write_card(artifact, metrics=metrics).card
