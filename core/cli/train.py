"""`python -m core train`: train a classifier or attention masks."""

from __future__ import annotations

import argparse
from pathlib import Path

from core import files, training
from core.cli.options import Commands
from core.cli.progress_bar import ProgressBar
from core.progress import Progress


def add_command(commands: Commands) -> None:
    """The command and its flags."""
    parser = commands.add_parser("train", help="train a classifier or attention masks")
    parser.add_argument("plan", metavar="PLAN", help=f"a PLAN.json, or one of {', '.join(training.PLANS)}")
    parser.add_argument(
        "--out", type=Path, default=Path("out/train"), help="where weights and card go, and the folder of the run"
    )
    parser.add_argument("--epochs", type=int, default=None, help="of the plan's first stage")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--device", default=None)
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, _rest: list[str]) -> int:
    """Train the plan and print what the card says."""
    plan = training.find_plan(options.plan).replace(seed=options.seed, epochs=options.epochs)
    files.check_writable(options.out)
    with ProgressBar() as bar:
        card = training.train(
            plan,
            options.out,
            options.device,
            lambda progress: bar.show(Progress(progress.text, progress.step, progress.steps)),
        )
    if card is not None:
        print(f"Saved in {files.shown(options.out)}. {card.figures()}")
    return 0
