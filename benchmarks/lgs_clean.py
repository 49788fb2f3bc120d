"""What local gradients smoothing does to clean images: the share of an image that it smooths, and the accuracy that it costs.

    python -m benchmarks.lgs_clean [--domain imagenette] [--classifier NAME] [--images 200] [--seed 0]

The region is the union of the windows whose mean normalized gradient is above γ (LGS, equation 6). Accuracies are top-1, with 95 %
intervals (Wilson). There is no peer: no other library has this defense.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence

import torch

from core import domains
from core.defenses import LGS
from core.domains.loading import load_images
from core.evaluate.proportion import Proportion

BATCH = 25
STRENGTHS = (2.3, 1.9, 1.5)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lgs_clean", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--domain", default="imagenette")
    parser.add_argument("--classifier", default=None)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    domain = domains.get(given.domain)
    classifier = domain.classifier(given.classifier, device="cpu")
    numbers = domain.sample_indices(given.images, "test", given.seed)
    defenses = [LGS(**{"lambda": strength}) for strength in STRENGTHS]
    region, correct = 0.0, [0] * (1 + len(defenses))
    with torch.no_grad():
        for start in range(0, len(numbers), BATCH):
            x, y = load_images(domain, "test", numbers[start : start + BATCH].tolist(), classifier)
            region += float(defenses[0].trace(x).region.float().mean((1, 2, 3)).sum())
            for n, images in enumerate((x, *(defense(x) for defense in defenses))):
                correct[n] += int((classifier(images).argmax(1).cpu() == y).sum())
    print(
        f"{classifier.title}, {len(numbers)} test images of {domain.title} at {classifier.size} px, seed {given.seed}; "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    print(f"smoothed region: {region / len(numbers):.1%} of an image on average")
    for title, hits in zip(("no defense", *(f"λ {s:g}" for s in STRENGTHS)), correct, strict=True):
        print(f"{title:<12}{Proportion(hits, len(numbers))}")


if __name__ == "__main__":
    main()
