"""PGD-40 on the CIFAR-10 classifier beside other libraries and a bare gradient loop, in one run on this machine.

    python -m benchmarks.pgd [--batches 1 32 128] [--threads 2] [--rounds 5] [--seconds 20]

L∞, eps 8/255, step 1/255, no random start, float32 tensors in, adversarial images out. All attack the same module with its
weights frozen; without that, the peers pay for gradients of the weights too. The compared take turns, so that a busy
machine is busy for all of them; a time is the median of the rounds, and each compared runs once before them to warm up.

The bare loop is the least that PGD can be: 40 gradients, 40 steps, no check, no result. Ours also answers with the logits,
the success after 8-bit rounding and the steps needed, which costs two more forward passes. A peer that is not installed is
left out. The images come from CIFAR-10's test set where MIRAGE_DATA has it; seeded random ones stand in elsewhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.filters import processor
from core import domains
from core.attacks import PGD
from core.models.classifier import Classifier

EPS, STEP, STEPS = 8 / 255, 1 / 255, 40
SLOWEST, FASTEST = 1.1, 3.0  # targets: at most this many bare loops; at least this many times faster than every peer

Work = Callable[[], object]


def bare(classifier: Classifier, images: Tensor, labels: Tensor, steps: int = STEPS) -> Tensor:
    """PGD written out: the floor."""
    now = images
    for _ in range(steps):
        now = now.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(classifier(now), labels, reduction="sum"), now)
        moved = now.detach() + STEP * gradient.sign()
        now = (images + (moved - images).clamp(-EPS, EPS)).clamp(0, 1)
    return now


def peers(classifier: Classifier, images: Tensor, labels: Tensor) -> dict[str, Work]:
    """The libraries that can be imported, each with its PGD set to the same work."""
    found: dict[str, Work] = {}
    try:
        import torchattacks

        attack = torchattacks.PGD(classifier, eps=EPS, alpha=STEP, steps=STEPS, random_start=False)
        found["torchattacks"] = lambda: attack(images, labels)
    except ImportError:
        pass
    try:
        import foolbox

        model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
        descent = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
        found["foolbox"] = lambda: descent(model, images, labels, epsilons=EPS)
    except ImportError:
        pass
    try:
        from art.attacks.evasion import ProjectedGradientDescent

        estimator = art_estimator(classifier, images)
        projected = ProjectedGradientDescent(
            estimator,
            norm=np.inf,
            eps=EPS,
            eps_step=STEP,
            max_iter=STEPS,
            num_random_init=0,
            batch_size=len(images),
            verbose=False,
        )
        array, classes = images.numpy(), labels.numpy()
        found["ART"] = lambda: projected.generate(x=array, y=classes)
    except ImportError:
        pass
    return found


def art_estimator(classifier: Classifier, images: Tensor) -> Any:
    """The classifier as ART wants it.

    Raises:
        ImportError: ART is not installed.
    """
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model=classifier,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=len(classifier.classes),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


def load_images(count: int, classifier: Classifier) -> tuple[Tensor, Tensor, str]:
    """The images, their labels, and one sentence about where they are from."""
    domain = domains.get("cifar10")
    if not domain.missing_reason():
        return *domain.sample(count), "images of CIFAR-10's test set, with their labels"
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    images = pixels.float() / 255
    with torch.no_grad():
        labels = classifier(images).argmax(1)
    return images, labels, "MIRAGE_DATA has no CIFAR-10: seeded random images, labeled as the classifier sees them"


def in_turns(compared: dict[str, Work], rounds: int, seconds: float) -> dict[str, float]:
    """Median seconds of each, taking turns; at least `rounds` rounds, and more of them until `seconds` are spent."""
    for work in compared.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in compared}
    began = time.perf_counter()
    done = 0
    names = list(compared)
    while done < rounds or (time.perf_counter() - began < seconds and done < 20 * rounds):
        for name in names[done % len(names) :] + names[: done % len(names)]:  # nobody always runs first
            start = time.perf_counter()
            compared[name]()
            times[name].append(time.perf_counter() - start)
        done += 1
    return {name: statistics.median(values) for name, values in times.items()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pgd", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="rounds at least")
    parser.add_argument("--seconds", type=float, default=20, help="more rounds until this long is spent on a batch")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    classifier = domains.get("cifar10").classifier("resnet", device="cpu")
    run = [f"--batches {shlex.join(map(str, given.batches))} --threads {given.threads} --rounds {given.rounds}"]
    print(f"python -m benchmarks.pgd {run[0]} --seconds {given.seconds:g}")
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(load_images(1, classifier)[2])

    fixed = PGD(eps=EPS, step_size=STEP, iterations=STEPS, random_start=False, early_stop=False, keep="last")
    stopping = PGD(eps=EPS, step_size=STEP, iterations=STEPS, random_start=False, early_stop=True)
    measured: dict[int, dict[str, float]] = {}
    fooled: dict[int, tuple[int, int]] = {}
    for batch in given.batches:
        images, labels, _ = load_images(batch, classifier)
        ours: dict[str, Work] = {
            "ours": lambda i=images, y=labels: fixed(classifier, i, y),  # type: ignore[misc]
            "ours, stopping": lambda i=images, y=labels: stopping(classifier, i, y),  # type: ignore[misc]
            "bare loop": lambda i=images, y=labels: bare(classifier, i, y),  # type: ignore[misc]
        }
        measured[batch] = in_turns(ours | peers(classifier, images, labels), given.rounds, given.seconds)
        fooled[batch] = tuple(int(a(classifier, images, labels).success.sum()) for a in (fixed, stopping))  # type: ignore
    others = [name for name in ("torchattacks", "foolbox", "ART") if name in measured[given.batches[0]]]
    missing = sorted({"torchattacks", "foolbox", "ART"} - set(others))
    if missing:
        print(f"Left out, not installed: {', '.join(missing)} (`make peers` installs them).")

    behind = []
    print("\nFixed 40 steps; milliseconds a batch, and how many bare loops that is (target for ours: at most 1.1)\n")
    print(f"{'batch':>6}  {'bare loop':>10}" + "".join(f"{name:>14}{'ratio':>7}" for name in ["ours", *others]))
    for batch, times in measured.items():
        floor = times["bare loop"]
        row = "".join(f"{times[name] * 1e3:14.1f}{times[name] / floor:7.2f}" for name in ["ours", *others])
        print(f"{batch:6}  {floor * 1e3:10.1f}{row}")
        if times["ours"] > SLOWEST * floor:
            behind.append(f"{times['ours'] / floor:.2f} bare loops at batch {batch}")

    print("\nMay stop at the first success; milliseconds a batch, and how many times as long (target: at least 3)")
    print("The peers run all 40 steps: their PGD cannot stop earlier.\n")
    names = ["bare loop", *others]
    print(f"{'batch':>6}  {'ours':>10}{'fooled':>10}" + "".join(f"{name:>14}{'ratio':>7}" for name in names))
    for batch, times in measured.items():
        ours_took = times["ours, stopping"]
        row = "".join(f"{times[name] * 1e3:14.1f}{times[name] / ours_took:7.2f}" for name in names)
        print(f"{batch:6}  {ours_took * 1e3:10.1f}{f'{fooled[batch][1]}/{batch}':>10}{row}")
        behind += [
            f"{times[name] / ours_took:.2f} times faster than {name} at batch {batch}"
            for name in others
            if times[name] < FASTEST * ours_took
        ]
    print(f"\nMissed: {'; '.join(behind)}." if behind else "\nBoth targets are met.")


if __name__ == "__main__":
    main()
