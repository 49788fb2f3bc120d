"""The trainer: every stage of a plan, its checkpoints, its curves, alone or with other processes."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from core.device import mixed
from core.inputs import InvalidInput
from core.progress import OnProgress, Progress
from core.training.augment import AUGMENTATIONS
from core.training.checkpoints import Curves, damaged, fill, load_checkpoint, save_checkpoint
from core.training.data import Data
from core.training.judging import ATTACKED, Best, judge
from core.training.objectives import OBJECTIVES, Batch, Terms
from core.training.optimizers import build_optimizer, build_schedule
from core.training.parallel import Group
from core.training.plans import TrainingPlan

LOG_EVERY = 10  # steps between two lines of the curves


@dataclass(frozen=True, kw_only=True)
class TrainingProgress(Progress):
    """How far a training is; `done` and `total` are steps of all stages together.

    Attributes:
        stage: the network that is trained. epoch: from 1, of `epochs`.
        losses, metrics: by name, the means over the last steps; empty at first.
    """

    stage: str
    epoch: int
    epochs: int
    losses: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def epoch_text(stage: str, epoch: int, epochs: int, values: Mapping[str, float]) -> str:
    """What is trained, in which epoch, and the last losses and metrics; one line."""
    shown = "".join(f", {name} {value:.3f}" for name, value in values.items())
    return f"{stage}, epoch {epoch} of {epochs}{shown}"


class Trainer:
    """Trains the networks of a plan, in place.

    Every epoch draws from generators of its own, so that a run which was cut off ends as one that was not: with the same weights, on
    a CPU bit for bit.

    Args:
        networks: by the names that the plan's objectives use, on `device`; those that a stage does not train stay as they are.
        data: images uint8 N×C×H×W and labels int64 N; kept on the device where they fit.
        folder: of the checkpoint and the curves; None keeps neither.
        group: the processes that share every batch.
        crafted: adversarial versions of the images, uint8 N×V×C×H×W; None where the plan needs none.
        after_epoch: called in the leading process after each epoch, the networks in eval mode.
        held_out: images and labels that judge the network after each epoch, as the plan says; None without.
        started: when the work began that `seconds` counts, by `time.monotonic`; None for now.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        networks: Mapping[str, nn.Module],
        data: Data,
        device: torch.device,
        *,
        folder: Path | None = None,
        group: Group | None = None,
        crafted: Tensor | None = None,
        after_epoch: Callable[[], None] | None = None,
        held_out: Data | None = None,
        started: float | None = None,
    ) -> None:
        self.plan, self.networks, self.device, self.folder = plan, networks, device, folder
        self.group = group or Group()
        self.images, self.labels = on_device(data[0], device), data[1].to(device)
        self.after_epoch = after_epoch
        self.crafted = None if crafted is None else on_device(crafted, device)
        self.started, self.earlier = time.monotonic() if started is None else started, 0.0
        self.held_out, self.best = held_out, Best()
        self.average: nn.Module | None = None  # of the stage's network, with averaged weights
        self.trained = {stage.trains: networks[stage.trains] for stage in plan.stages}
        text = f"{plan.to_json()} {len(self.labels)} images, {self.group.size} processes"
        self.run = hashlib.sha256(text.encode()).hexdigest()
        self.steps = [-(-len(self.labels) * s.repeats_per_epoch // s.batch) for s in plan.stages]  # of an epoch

    @property
    def seconds(self) -> float:
        """How long it has trained, the processes before this one included up to their last checkpoint."""
        return self.earlier + time.monotonic() - self.started

    def fit(self, on_progress: OnProgress | None = None) -> bool:
        """Train all stages, from the checkpoint on where there is one of this run; False where `on_progress` stopped it.

        Raises:
            InvalidInput: the checkpoint is damaged or cannot be written, or a loss is no number any more.
        """
        path = None if self.folder is None else self.folder / "checkpoint.pt"
        state = None if path is None else load_checkpoint(path, self.run)
        at, done = (0, 0) if state is None else (state["stage"], state["epoch"])
        if path is not None and state is not None:
            if at >= len(self.plan.stages) or done > self.plan.stages[at].epochs:
                raise damaged(path)
            fill(path, self.trained, state["networks"])
            self.earlier = float(state["seconds"])
        curves = None if self.folder is None or not self.group.leads else Curves(self.folder / "curves.jsonl")
        if curves is not None:
            curves.keep_until(at, done + 1)
        for number in range(at, len(self.plan.stages)):
            stage, network = self.plan.stages[number], self.trained[self.plan.stages[number].trains]
            network.to(memory_format=torch.channels_last)
            optimizer = build_optimizer(stage, network)
            schedule = build_schedule(stage, optimizer, stage.epochs * self.steps[number])
            self.average, self.best = copy.deepcopy(network) if stage.averaged else None, Best()
            if path is not None and state is not None and number == at:
                try:
                    optimizer.load_state_dict(state["optimizer"])
                    schedule.load_state_dict(state["schedule"])
                    self.best = Best(**state["best"])
                    if self.average is not None:
                        self.average.load_state_dict(state["average"])
                except Exception as error:  # tables that do not fit fail in many ways
                    raise damaged(path) from error
            for epoch in range(done if number == at else 0, stage.epochs):
                if not self._epoch(number, epoch, optimizer, schedule, curves, on_progress):
                    return False
                self.group.average_buffers(network)
                if self.average is not None:
                    self.group.average_buffers(self.average)
                if self.held_out is not None:
                    self._judge(number, epoch, curves)
                if path is not None and self.group.leads:
                    tables = {name: trained.state_dict() for name, trained in self.trained.items()}
                    both = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
                    place = {"run": self.run, "stage": number, "epoch": epoch + 1, "seconds": self.seconds}
                    average = {} if self.average is None else self.average.state_dict()
                    extra = {"best": asdict(self.best), "average": average}
                    save_checkpoint(path, {**place, **both, **extra, "networks": tables})
                if self.after_epoch is not None and self.group.leads:
                    network.eval()
                    self.after_epoch()
            network.load_state_dict(self.best.weights or (self.average or network).state_dict())
            self.group.share_weights(network)  # rounding may have made another epoch the best one elsewhere
            network.eval()
        return True

    def _judge(self, number: int, epoch: int, curves: Curves | None) -> None:
        """Judge the stage's network on the held-out images, and enter it among the epochs."""
        assert self.held_out is not None
        network = self.average or self.trained[self.plan.stages[number].trains]
        training = network.training
        network.eval()
        metrics = judge(self.plan, network, self.held_out, self.device)
        network.train(training)
        self.best.add(epoch + 1, metrics[ATTACKED], network)
        if curves is not None:
            place = {"stage": number, "epoch": epoch + 1, "step": (epoch + 1) * self.steps[number]}
            curves.add({**place, "losses": {}, "metrics": metrics})

    def _epoch(
        self,
        number: int,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        curves: Curves | None,
        on_progress: OnProgress | None,
    ) -> bool:
        """One epoch of a stage; False where it was stopped."""
        stage = self.plan.stages[number]
        for name, network in self.networks.items():
            network.train(name == stage.trains)
        network = self.trained[stage.trains]
        recent: list[Terms] = []
        losses: Mapping[str, float] = {}
        metrics: Mapping[str, float] = {}
        first = sum(s.epochs * steps for s, steps in zip(self.plan.stages[:number], self.steps, strict=False))
        total = sum(s.epochs * steps for s, steps in zip(self.plan.stages, self.steps, strict=True))
        for step, (batch, share) in enumerate(self._batches(number, epoch), start=1):
            optimizer.zero_grad(set_to_none=True)
            if batch is not None:
                with mixed(self.device) if stage.mixed_precision else nullcontext():
                    terms = OBJECTIVES[stage.objective.name](self.networks, batch, **stage.objective.params)
                loss = torch.stack([*terms.losses.values()]).sum()
                (loss if self.group.size == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
                recent.append(Terms(_detached(terms.losses), _detached(terms.metrics)))
            last = step == self.steps[number]
            if recent and (last or step % LOG_EVERY == 0):
                losses, metrics = _mean([t.losses for t in recent]), _mean([t.metrics for t in recent])
                recent = []
                if not all(abs(value) < float("inf") for value in losses.values()):  # false for NaN, too
                    raise InvalidInput(
                        f"A loss of {self.plan.name} is no number in epoch {epoch + 1}: {losses}; lower the plan's max_lr."
                    )
                if curves is not None:
                    place = {"stage": number, "epoch": epoch + 1, "step": epoch * self.steps[number] + step}
                    rate = optimizer.param_groups[0]["lr"]
                    curves.add({**place, "lr": rate, "losses": losses, "metrics": metrics})
            stop = False
            if on_progress is not None:
                done = first + epoch * self.steps[number] + step
                text = epoch_text(stage.trains, epoch + 1, stage.epochs, {**losses, **metrics})
                progress = TrainingProgress(
                    text,
                    done,
                    total,
                    stage=stage.trains,
                    epoch=epoch + 1,
                    epochs=stage.epochs,
                    losses=losses,
                    metrics=metrics,
                )
                stop = bool(on_progress(progress))
            if self.group.sum_gradients(network.parameters(), stop):
                return False
            optimizer.step()
            schedule.step()
            if self.average is not None:
                count = epoch * self.steps[number] + step
                move_average(self.average, network, min(stage.averaged, (1 + count) / (10 + count)))
        return True

    def _batches(self, number: int, epoch: int) -> Iterator[tuple[Batch | None, float]]:
        """This process's part of every batch of an epoch, and its share of the batch; None where it has none of it."""
        stage = self.plan.stages[number]
        seed = (self.plan.seed * 8 + number) * 10_000 + epoch
        order = torch.Generator().manual_seed(seed)  # the same in all processes
        own = self.group.rank * 2**48
        generator = torch.Generator(self.device).manual_seed(seed + own + 2**47)
        torch.manual_seed(seed + own)  # dropout draws from the global one
        count, augment = len(self.labels), AUGMENTATIONS[stage.augment.name]
        numbers = torch.cat([torch.randperm(count, generator=order) for _ in range(stage.repeats_per_epoch)])
        for chosen in torch.split(numbers, stage.batch):
            mine = self.group.share(chosen)
            if len(mine) == 0:
                yield None, 0.0
                continue
            images = _scaled(self.images, mine, self.device)
            views = augment(images, generator, epoch / stage.epochs, **stage.augment.params)
            views = views.contiguous(memory_format=torch.channels_last)
            crafted = images[:, None, :0] if self.crafted is None else _scaled(self.crafted, mine, self.device)
            yield Batch(views, self.labels[mine.to(self.device)], generator, crafted), len(mine) / len(chosen)


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights (and what batch norms count) towards those of the network: decay·average + (1 - decay)·network."""
    pairs = [
        (old, new)
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True)
        if old.is_floating_point()
    ]
    torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], 1 - decay)


def _scaled(pixels: Tensor, chosen: Tensor, device: torch.device) -> Tensor:
    """The chosen ones of uint8 N×…, on the device, as float32 in [0, 1]."""
    return pixels[chosen.to(pixels.device)].to(device).float() / 255


def on_device(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device where they take less than half of its free memory, else where they are."""
    if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return images.pin_memory()
    return images.to(device)


def _detached(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}


def _mean(terms: list[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each of the named values, fetched from the device at once."""
    if not terms or not terms[0]:
        return {}
    means = torch.stack([torch.stack([*values.values()]) for values in terms]).float().mean(0).tolist()
    return dict(zip(terms[0], means, strict=True))
