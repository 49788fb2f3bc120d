"""Denoisers beside the plain forms of the same work.

    python -m benchmarks.denoisers [--threads 2] [--repeats 5]

Per-pixel convolution: ours, and the form that unfolds the images (forward, and forward with backward). One training step of each
denoiser of CIFAR-10: the trainer's, and a bare loop over the same network, objective and data. One pass of each denoiser of CIFAR-10
over 128 images, as the defense runs it, and one pass of the VGG-like classifier. Times are the median of the repeats, taken in
turn; the other's divided by ours is the last column.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.filters import processor
from core import domains
from core.defenses.learned import prepared
from core.models.denoisers import DUNet, KernelPredictionNet
from core.models.loss_network import LossNetwork
from core.models.per_pixel import per_pixel_convolution
from core.training import Trainer, TrainingPlan
from core.training.objectives import OBJECTIVES, Batch
from core.training.shipped import PLANS

BATCH, STEPS = 64, 4
CPU = torch.device("cpu")


def unfolded(images: Tensor, kernels: Tensor) -> Tensor:
    """Per-pixel convolution by `unfold`, which holds m² copies of the images."""
    n, count, channels, height, width = kernels.shape
    copies = F.unfold(images, round(count**0.5), padding=round(count**0.5) // 2)
    return (kernels * copies.view(n, channels, count, height, width).transpose(1, 2)).mean(1)


def with_backward(function: Callable[[Tensor, Tensor], Tensor], images: Tensor, kernels: Tensor) -> None:
    function(images, kernels.detach().requires_grad_(True)).sum().backward()


def plan_of(name: str) -> TrainingPlan:
    stage = {**PLANS[name]["stages"][0], "epochs": 1, "batch": BATCH}
    return TrainingPlan(**{**PLANS[name], "stages": (stage,)})


def networks_of(plan: TrainingPlan) -> dict[str, Any]:
    torch.manual_seed(0)
    classifier = domains.get("cifar10").classifier("vgg", "cpu")
    denoiser = DUNet(3) if plan.architecture == "dunet" else KernelPredictionNet(3)
    networks: dict[str, Any] = {"denoiser": denoiser, "classifier": classifier}
    if plan.loss_network:
        networks["loss_network"] = LossNetwork(classifier, plan.loss_layers)
    return networks


def bare_loop(plan: TrainingPlan, networks: dict[str, Any], batches: Sequence[Batch]) -> None:
    """The loop that one would write by hand, on batches that are ready."""
    stage = plan.stages[0]
    network = networks["denoiser"].train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=stage.max_lr, weight_decay=stage.weight_decay)
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        terms = OBJECTIVES[stage.objective.name](networks, batch, **stage.objective.params)
        torch.stack([*terms.losses.values()]).sum().backward()
        optimizer.step()


def in_turn(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The median seconds of each, one after the other in every round, so that a busy machine slows all of them."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(repeats + 1):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            if number:  # the first round warms up
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoisers", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    print(
        f"{processor()}, {options.threads} threads, torch {torch.__version__}; milliseconds, median of {options.repeats}\n"
    )
    print("| work | ours | the other | other / ours |\n|---|---:|---:|---:|")

    def line(name: str, ours: Callable[[], object], other: Callable[[], object]) -> None:
        a, b = in_turn((ours, other), options.repeats)
        print(f"| {name} | {1000 * a:.1f} | {1000 * b:.1f} | {b / a:.2f} |", flush=True)

    draw = torch.Generator().manual_seed(0)
    images = torch.rand(128, 3, 32, 32, generator=draw)
    kernels = torch.rand(128, 25, 3, 32, 32, generator=draw)
    with torch.no_grad():
        line(
            "per-pixel convolution, forward; unfold",
            lambda: per_pixel_convolution(images, kernels),
            lambda: unfolded(images, kernels),
        )
    line(
        "per-pixel convolution, forward and backward; unfold",
        lambda: with_backward(per_pixel_convolution, images, kernels),
        lambda: with_backward(unfolded, images, kernels),
    )
    pixels = torch.randint(256, (BATCH * STEPS, 3, 32, 32), generator=draw).to(torch.uint8)
    labels = torch.randint(10, (BATCH * STEPS,), generator=draw)
    for name in ("hgd_cifar10_vgg", "dkn_cifar10_vgg"):
        plan = plan_of(name)
        crafted = pixels[:, None].expand(-1, len(plan.crafted), -1, -1, -1)
        parts = zip(torch.split(pixels, BATCH), torch.split(labels, BATCH), torch.split(crafted, BATCH), strict=True)
        batches = [Batch(x.float() / 255, y, draw, c.float() / 255) for x, y, c in parts]
        trainer = Trainer(plan, networks_of(plan), (pixels, labels), CPU, crafted=crafted)
        others = networks_of(plan)
        line(f"{name}, {STEPS} steps; a bare loop", trainer.fit, lambda p=plan, n=others, b=batches: bare_loop(p, n, b))  # type: ignore[misc]
    classifier = domains.get("cifar10").classifier("vgg", "cpu")
    with torch.no_grad():
        for title, network in (("DUNET", DUNet(3)), ("kernel prediction", KernelPredictionNet(3))):
            folded = prepared(network, torch.full((1, 3, 32, 32), 0.5))
            line(
                f"{title}, one pass of 128 images; the VGG-like classifier",
                lambda f=folded: f(images),  # type: ignore[misc]
                lambda: classifier(images),
            )


if __name__ == "__main__":
    main()
