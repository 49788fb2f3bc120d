"""`python -m core measure`: the numbers on the card of a classifier or a denoiser."""

from __future__ import annotations

import argparse

from core.cli.options import Commands
from core.cli.progress_bar import ProgressBar
from core.models import artifacts
from core.reproduce.cards import N_IMAGES, measure_card


def add_command(commands: Commands) -> None:
    """The command and its flags."""
    parser = commands.add_parser(
        "measure", help="attack a classifier or a denoiser, and write the accuracies on its card"
    )
    parser.add_argument("artifact", metavar="ARTIFACT", help="such as cifar10_robust or hgd_cifar10_vgg")
    parser.add_argument(
        "--images", type=int, default=None, help=f"{N_IMAGES} without it; a fifth of them for C&W on a denoiser"
    )
    parser.add_argument(
        "--adaptive-images",
        type=int,
        default=None,
        help="of the attacker who knows a denoiser; as many as --images without it",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, _rest: list[str]) -> int:
    """Measure it and print the card's numbers."""
    known = (a for kind in ("classifier", "denoiser") for a in artifacts.list_artifacts(kind))
    artifact = next((a for a in known if a.name == options.artifact), None)
    if artifact is None:
        artifact = artifacts.find_artifact("denoiser", options.artifact)  # says what is wrong with its name or its card
    with ProgressBar() as bar:
        measured = measure_card(artifact, options.images, options.adaptive_images, options.seed, bar.show)
    if measured is not None:
        for metric in measured.card.metrics:
            print(f"{metric.what:<40} {metric.text}")
    return 0
