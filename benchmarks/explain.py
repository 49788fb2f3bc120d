"""Class maps and loss surfaces beside what a user would do instead.

    python -m benchmarks.explain [--threads 2] [--repeats 5]

Class maps of three images (clean, attacked, defended) by Grad-CAM: ours, and pytorch-grad-cam as its README shows it, image by
image, on the same classifier and layer. A 41×41 loss surface: ours, and a loop over its points. Times are the median of the
repeats; the peer's divided by ours is the last column.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.filters import processor
from core import domains, images
from core.explain.cams import class_maps
from core.explain.landscape import directions, surface
from core.explain.layers import layer, layers
from core.models.classifier import Classifier

SHIPPED = (
    *(("photos", "photonet"), ("mnist", "a"), ("cifar10", "resnet"), ("cifar10", "vgg"), ("cifar10", "alexnet")),
    ("imagenette", "resnet"),
)
STEPS = np.linspace(-16 / 255, 16 / 255, 41, dtype=np.float32)


def by_hand(classifier: Classifier, batch: Tensor, classes: Sequence[int]) -> None:
    """Grad-CAM as pytorch-grad-cam's README has it, one image at a time."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    for n in range(len(batch)):
        with GradCAM(model=classifier, target_layers=[classifier.cam_module]) as cam:
            cam(batch[n : n + 1].clone().requires_grad_(True), [ClassifierOutputTarget(classes[n])])


def point_by_point(classifier: Classifier, image: Tensor, label: int, first: Tensor, second: Tensor) -> None:
    """The surface as a loop over its points."""
    target = torch.tensor([label])
    with torch.no_grad():
        for down in STEPS:
            for across in STEPS:
                point = (image + float(across) * first + float(down) * second).clamp(0, 1)
                float(F.cross_entropy(classifier(point), target))


def timed(work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explain", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    print(f"python -m benchmarks.explain {' '.join(sys.argv[1:] if argv is None else argv)}".rstrip())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{processor()}, {os.cpu_count()} cores, {given.threads} threads, load {load:.1f} before this run; "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    print(
        f"{'classifier':<22}{'3 maps, s':>11}{'by hand, s':>12}{'times':>8}{'surface, s':>13}{'loop, s':>10}{'times':>8}"
    )
    for domain_name, name in SHIPPED:
        domain = domains.get(domain_name)
        classifier = domain.classifier(name, "cpu")
        item = domain.gallery()[0]
        fitted = images.fit(domain.gallery_pixels(item.name), classifier.size, classifier.channels, "crop")
        image = images.to_tensor(fitted)
        batch = image.repeat(3, 1, 1, 1)
        label = int(classifier(image).argmax())
        where = layer(layers(classifier), classifier.cam_layer)
        first, second = directions(classifier, image, label, torch.Generator().manual_seed(0))
        class_maps(classifier, batch, [label] * 3, layer=where)  # imports and warms up
        by_hand(classifier, batch, [label] * 3)
        ours = timed(lambda: class_maps(classifier, batch, [label] * 3, layer=where), given.repeats)  # noqa: B023
        peer = timed(lambda: by_hand(classifier, batch, [label] * 3), given.repeats)  # noqa: B023
        ground = timed(lambda: surface(classifier, image, label, first, second, STEPS, STEPS), 2)  # noqa: B023
        loop = timed(lambda: point_by_point(classifier, image, label, first, second), 1)  # noqa: B023
        print(
            f"{domain_name + ' ' + name:<22}{ours:11.3f}{peer:12.3f}{peer / ours:8.2f}{ground:13.2f}{loop:10.2f}{loop / ground:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
