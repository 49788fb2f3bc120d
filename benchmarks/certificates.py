"""Certificates: how long each takes, beside what was asked.

    python -m benchmarks.certificates [--threads 2] [--images 1000]

The semidefinite bound of the 45 pairs of classes of a network with 500 hidden units; then the certificate against flows of many MNIST
images, by the paper's bound and by ours; the semidefinite program of one pair at 784-100-10, solved from both sides, and by a convex
solver at 196-30-10; randomized smoothing with 10,000 samples of a CIFAR-10 image. Each is run once; the limits are those of two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from benchmarks.filters import processor
from core import domains
from core.certify import Smoothing
from core.certify.flow import FlowCertificate
from core.certify.flow_geometry import lambdas
from core.certify.flow_sdp import exact_bound, solve_program
from core.certify.two_layer import two_layer
from core.inputs import InvalidInput
from core.models.classifier import Classifier


def small_network(side: int, hidden: int) -> Classifier:
    """A network of two layers with random weights."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(side * side, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    return Classifier.wrap(layers, classes=10, size=side, channels=1)


def program(classifier: Classifier) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of the semidefinite programs of all 45 pairs, at a total variation of 1."""
    network, (one, other) = two_layer(classifier), torch.triu_indices(10, 10, 1)
    box = sqrt(2) * lambdas(classifier.size, classifier.size).flatten()
    return network.first, network.second[one] - network.second[other], box


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certificates", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    print(f"{processor()}, {options.threads} threads, torch {torch.__version__}\n")
    print("| work | seconds | asked | result |\n|---|---:|---:|---|")

    def line(name: str, limit: float | None, work: Callable[[], str]) -> None:
        began = time.perf_counter()
        text = work()
        print(f"| {name} | {time.perf_counter() - began:.2f} | {limit or ''} | {text} |", flush=True)

    def pairs(classifier: Classifier, count: int = 45) -> str:
        first, second, box = program(classifier)
        solved = solve_program(first, second[:count], box)
        return f"both sides agree to {float((solved.bound / solved.met).max()) - 1:.1e}"

    plain = domains.get("mnist").classifier("mlp", "cpu")
    line("semidefinite bound, 45 pairs, 784-500-10", 10, lambda: pairs(plain))
    try:
        images, labels = domains.get("mnist").sample(options.images, seed=0)
    except InvalidInput as error:
        print(f"\n{error}\n")
    else:
        for bound, limit in (("paper", 5), ("joint", 5), ("best", None)):
            certificate = FlowCertificate(eps=4.0, bound=bound, find_radius=False)  # type: ignore[arg-type]

            def many(certificate: FlowCertificate = certificate) -> str:
                promise = certificate(plain, images, labels)
                return f"{int(promise.certified.sum()) if promise is not None else 0} certified at 4 px"

            line(f"{len(images)} images, {bound} bound", limit, many)
    line("semidefinite program, one pair, 784-100-10, from both sides", 60, lambda: pairs(small_network(28, 100), 1))

    def solver() -> str:
        first, second, box = program(small_network(14, 30))
        exact, solved = exact_bound(first, second[0], box), solve_program(first, second[:1], box)
        return f"ours is {float(solved.bound[0]) / exact - 1:+.1e} from it"

    line("semidefinite program, one pair, 196-30-10, convex solver", None, solver)
    vgg = domains.get("cifar10").classifier("vgg", "cpu")
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def smooth() -> str:
        promise = Smoothing(sigma=0.25, samples=10_000)(vgg, image, torch.tensor([0]))
        return f"class {int(promise.predicted[0])}" if promise is not None else ""

    line("randomized smoothing, 10,000 samples of a CIFAR-10 image", 20, smooth)


if __name__ == "__main__":
    main()
