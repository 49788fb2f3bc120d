"""C&W beside foolbox and ART, JSMA at 224 px, and what streaming costs, in one run on this machine.

    python -m benchmarks.attacks [--threads 2] [--pictures 16] [--rounds 1]

All attack the same module with its weights frozen. C&W runs with the same searches, steps, learning rate and first c everywhere,
on CIFAR-10 pictures that the classifier gets right; beside the time stand the share fooled and the mean L2, because a fast
attack that finds longer changes is no faster attack. None of them rounds to 8 bits here, because no peer does.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.filters import processor
from benchmarks.pgd import EPS, STEP, art_estimator, in_turns, pictures
from core import domains
from core.attacks import CW, JSMA, PGD
from core.models.classifier import Classifier

SEARCHES, STEPS, RATE, FIRST = 5, 100, 0.01, 1e-2
FOOLBOX, ART, STREAMING = 3.0, 20.0, 1.1  # targets: times faster than each; at most this many silent runs


def contestants(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Callable[[], Tensor]]:
    """C&W of each library that can be imported, set to the same work."""
    attack = CW(searches=SEARCHES, iterations=STEPS, learning_rate=RATE, initial_c=FIRST, rounding=False)

    def ours() -> Tensor:
        *_, step = attack.steps(model, images, labels)
        return step.images

    found: dict[str, Callable[[], Tensor]] = {"ours": ours}
    try:
        import foolbox

        peer = foolbox.attacks.L2CarliniWagnerAttack(
            binary_search_steps=SEARCHES, steps=STEPS, stepsize=RATE, initial_const=FIRST
        )
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        found["foolbox"] = lambda: peer(wrapped, images, labels, epsilons=None)[0]
    except ImportError:
        pass
    try:
        from art.attacks.evasion import CarliniL2Method

        estimator = art_estimator(model, images)
        method = CarliniL2Method(
            estimator,
            binary_search_steps=SEARCHES,
            max_iter=STEPS,
            learning_rate=RATE,
            initial_const=FIRST,
            batch_size=len(images),
            verbose=False,
        )
        found["ART"] = lambda: torch.from_numpy(method.generate(x=images.numpy(), y=labels.numpy()))
    except ImportError:
        pass
    return found


def smallest_changes(count: int, rounds: int) -> list[str]:
    """C&W side by side; the targets that were missed."""
    model = domains.get("cifar10").classifier("resnet", device="cpu")
    images, labels, where = pictures(count, model)
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    print(f"C&W L2, {SEARCHES} searches of {STEPS} steps, {len(images)} pictures at once; {where}\n")
    found = contestants(model, images, labels)
    results: dict[str, Tensor] = {}

    def keeping(name: str) -> Callable[[], object]:
        return lambda: results.__setitem__(name, found[name]())

    times = in_turns({name: keeping(name) for name in found}, rounds, 0)
    print(f"{'':>10}{'seconds':>10}{'ratio':>8}{'fooled':>10}{'mean L2':>10}")
    for name, took in times.items():
        with torch.no_grad():
            fooled = model(results[name]).argmax(1) != labels
        length = (results[name] - images).flatten(1).norm(dim=1)[fooled].mean()
        print(
            f"{name:>10}{took:10.2f}{took / times['ours']:8.2f}{f'{int(fooled.sum())}/{len(fooled)}':>10}{length:10.4f}"
        )
    return [
        f"C&W {times[name] / times['ours']:.1f} times faster than {name}, {target:g} asked"
        for name, target in (("foolbox", FOOLBOX), ("ART", ART))
        if name in times and times[name] < target * times["ours"]
    ]


def large_pictures() -> list[str]:
    """JSMA at 224 px in 2 GB, where a matrix of all pairs would not fit."""
    domain = domains.get("photos")
    model = domain.classifier(device="cpu")
    images, _ = domain.sample(1)
    images = torch.nn.functional.interpolate(images, (224, 224), mode="bilinear").clamp(0, 1)
    with torch.no_grad():
        labels = model(images).argmax(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = JSMA(gamma=0.01)(model, images, labels)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = images[0].numel() ** 2 * 4 / 1e9
    print(
        f"\nJSMA at 3×224×224 (PhotoNet): fooled {bool(result.success[0])} in {result.iterations} iterations, {result.seconds:.1f} s; "
        f"the process's peak is {memory / 1e6:.2f} GB ({(memory - before) / 1e6:.2f} GB more than before). "
        f"torchattacks and cleverhans build the matrix of all pairs, {pairs:.0f} GB here, and are not run."
    )
    return [f"JSMA took {memory / 1e6:.2f} GB"] if memory > 2e6 else []


def streaming(rounds: int) -> list[str]:
    """PGD-100 on one picture, watched and not."""
    model = domains.get("cifar10").classifier("resnet", device="cpu")
    images, labels, _ = pictures(1, model)
    attack = PGD(eps=EPS, step_size=STEP, iterations=100, random_start=False, early_stop=False, keep="last")
    frames: list[object] = []

    def watched() -> None:
        frames.clear()
        attack(model, images, labels, watch=lambda step: frames.append((step.images, float(step.loss[0]))))

    times = in_turns({"silent": lambda: attack(model, images, labels), "watched": watched}, max(5, rounds), 5)
    ratio = times["watched"] / times["silent"]
    print(
        f"\nPGD-100 on one picture: {times['silent'] * 1e3:.0f} ms; every step watched {ratio:.2f} times that (target: {STREAMING})."
    )
    return [f"watching costs {ratio:.2f}"] if ratio > STREAMING else []


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"python -m benchmarks.attacks --threads {given.threads} --pictures {given.pictures} --rounds {given.rounds}")
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    missed = [*streaming(given.rounds), *smallest_changes(given.pictures, given.rounds), *large_pictures()]
    print(f"\nMissed: {'; '.join(missed)}." if missed else "\nEvery target is met.")


if __name__ == "__main__":
    main()
