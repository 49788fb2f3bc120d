"""C&W beside foolbox and ART, JSMA at 224 px, PGD on one image, and what streaming costs, in one run on this machine.

    python -m benchmarks.attacks [--threads 2] [--images 16] [--rounds 1]

All attack the same module with its weights frozen. C&W runs with the same learning rate and first c everywhere, on CIFAR-10
images that the classifier gets right. Beside the time stand the share fooled and the mean L2, because a fast attack that finds
longer changes is no faster attack: ours is its quick preset, and is faster only if it fools as many with changes no longer than
those of the peers, which get 5 searches of 100 steps. foolbox in the quick preset's searches and steps stands beside it, to tell
the algorithm from its implementation. None of them rounds to 8 bits here, because no peer does.
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
from benchmarks.pgd import EPS, STEP, art_estimator, bare, in_turns, load_images
from core import domains
from core.attacks import CW, JSMA, PGD
from core.models.classifier import Classifier
from core.progress import Progress

RATE, FIRST = 0.01, 1e-2
SEARCHES, STEPS = 5, 100  # the peers'; ours are those of its quick preset
FOOLBOX, ART = 3.0, 20.0  # targets: times faster than each
BARE, STREAMING = 1.15, 1.1  # targets: at most this many bare loops, and this many silent runs


def compared(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Callable[[], Tensor]]:
    """C&W of each library that can be imported, by its name, searches and steps."""
    attack = CW(preset="quick", initial_c=FIRST, rounding=False)
    searches, most, _, _ = attack.plan()

    def ours() -> Tensor:
        *_, step = attack.steps(model, images, labels)
        return step.images

    found: dict[str, Callable[[], Tensor]] = {f"ours, {searches} × {most}": ours}
    try:
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")

        def peer(searches: int, steps: int) -> Callable[[], Tensor]:
            carlini = foolbox.attacks.L2CarliniWagnerAttack(
                binary_search_steps=searches, steps=steps, stepsize=RATE, initial_const=FIRST
            )
            return lambda: carlini(wrapped, images, labels, epsilons=None)[0]

        found |= {f"foolbox, {n} × {steps}": peer(n, steps) for n, steps in ((searches, most), (SEARCHES, STEPS))}
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
        found[f"ART, {SEARCHES} × {STEPS}"] = lambda: torch.from_numpy(
            method.generate(x=images.numpy(), y=labels.numpy())
        )
    except ImportError:
        pass
    return found


def smallest_changes(count: int, rounds: int) -> list[str]:
    """C&W side by side; the targets that were missed."""
    model = domains.get("cifar10").classifier("resnet", device="cpu")
    images, labels, where = load_images(count, model)
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    print(f"\nC&W L2 (searches × steps at most), {len(images)} images at once; {where}\n")
    found = compared(model, images, labels)
    results: dict[str, Tensor] = {}

    def keeping(name: str) -> Callable[[], object]:
        return lambda: results.__setitem__(name, found[name]())

    times = in_turns({name: keeping(name) for name in found}, rounds, 0)
    print(f"{'':>20}{'seconds':>10}{'ratio':>8}{'fooled':>10}{'mean L2':>10}")
    ours, missed = next(iter(found)), []
    hits: dict[str, tuple[int, float]] = {}
    for name, took in times.items():
        with torch.no_grad():
            fooled = model(results[name]).argmax(1) != labels
        hits[name] = int(fooled.sum()), float((results[name] - images).flatten(1).norm(dim=1)[fooled].mean())
        share = f"{hits[name][0]}/{len(fooled)}"
        print(f"{name:>20}{took:10.2f}{took / times[ours]:8.2f}{share:>10}{hits[name][1]:10.4f}")
    for library, target in (("foolbox", FOOLBOX), ("ART", ART)):
        name = f"{library}, {SEARCHES} × {STEPS}"
        if name not in times:
            continue
        if times[name] < target * times[ours]:
            missed.append(f"C&W {times[name] / times[ours]:.1f} times faster than {library}, {target:g} asked")
        if hits[ours][0] < hits[name][0] or hits[ours][1] > hits[name][1]:
            missed.append(f"C&W fools fewer or farther away than {library}")
    return missed


def large_images() -> list[str]:
    """JSMA at 224 px in 2 GB, where a matrix of all pairs would not fit."""
    domain = domains.get("photos")
    own = domain.classifier(device="cpu")
    mean, std = own.mean.flatten().tolist(), own.std.flatten().tolist()
    model = Classifier.wrap(own.network, classes=own.classes, size=224, mean=mean, std=std, channels=3)
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


def one_image(rounds: int) -> list[str]:
    """PGD-100 on one image beside a bare gradient loop, with `on_progress` and without."""
    model = domains.get("cifar10").classifier("resnet", device="cpu")
    images, labels, _ = load_images(1, model)
    attack = PGD(eps=EPS, step_size=STEP, iterations=100, random_start=False, early_stop=False, keep="last")
    frames: list[object] = []

    def on_progress(progress: Progress) -> None:
        assert progress.step is not None
        frames.append((progress.step.images, float(progress.step.loss[0])))

    def reported() -> None:
        frames.clear()
        attack(model, images, labels, on_progress=on_progress)

    compared: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(model, images, labels, 100),
        "silent": lambda: attack(model, images, labels),
        "reported": reported,
    }
    times = in_turns(compared, max(5, rounds), 10)
    over, reporting = times["silent"] / times["bare"], times["reported"] / times["silent"]
    print(
        f"PGD-100 on one image: {times['silent'] * 1e3:.0f} ms, {over:.2f} of the bare gradient loop's {times['bare'] * 1e3:.0f} "
        f"(target: {BARE}); every step reported {reporting:.2f} times that (target: {STREAMING})."
    )
    missed = [f"PGD-100 takes {over:.2f} bare loops"] if over > BARE else []
    return missed + ([f"reporting costs {reporting:.2f}"] if reporting > STREAMING else [])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"python -m benchmarks.attacks --threads {given.threads} --images {given.images} --rounds {given.rounds}")
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    missed = [*one_image(given.rounds), *smallest_changes(given.images, given.rounds), *large_images()]
    print(f"\nMissed: {'; '.join(missed)}." if missed else "\nEvery target is met.")


if __name__ == "__main__":
    main()
