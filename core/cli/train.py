"""`python -m core train`: train a classifier, a denoiser or attention masks."""

from __future__ import annotations

import argparse
from pathlib import Path

from core import files, training
from core.cli.options import Commands
from core.cli.progress_bar import ProgressBar
from core.models import artifacts
from core.training import runs
from core.training.judging import overfitting


def add_command(commands: Commands) -> None:
    """The command and its flags."""
    parser = commands.add_parser("train", help="train a classifier, a denoiser or attention masks")
    parser.add_argument("plan", metavar="PLAN", help=f"a PLAN.json, or one of {', '.join(training.PLANS)}")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        help="where weights, card and the folder of the run go; without it MIRAGE_DATA, where the result is used at once, or "
        "out/train for a plan whose result ships",
    )
    parser.add_argument("--epochs", type=int, default=None, help="of the plan's first stage")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--device", default=None)
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, _rest: list[str]) -> int:
    """Train the plan and print what the card says."""
    plan = training.find_plan(options.plan).replace(seed=options.seed, epochs=options.epochs)
    out = options.out or (Path("out/train") if runs.ships(plan) else None)
    if out is not None:
        files.check_writable(out)
    with ProgressBar() as bar:
        card = training.train(plan, out, options.device, bar.show)
    if warning := overfitting(runs.curves_in((runs.runs_folder() if out is None else out) / plan.name)):
        print(warning)
    if card is not None:
        print(f"Saved in {files.display_path(out or artifacts.user_folder())}. {card.figures()}")
    return 0
