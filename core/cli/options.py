"""Flags that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = (
    "argparse._SubParsersAction[argparse.ArgumentParser]"  # no public name, and no generic at run time
)


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """--out and --device of a command that runs a recipe."""
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for images, recipe and numbers")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")
