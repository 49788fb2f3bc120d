"""Flags that several commands share, and those of a method's parameters."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeAlias

from core.declaration import Configurable
from core.recipe.notation import parse_value

Commands: TypeAlias = (
    "argparse._SubParsersAction[argparse.ArgumentParser]"  # no public name, and no generic at run time
)


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """--out and --device of a command that runs a recipe."""
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for images, recipe and numbers")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")


def parse_parameters(command: str, method: type[Configurable], words: list[str]) -> dict[str, Any]:
    """The parameters of a method from the rest of the line, in which each of them is a flag.

    Args:
        command: what comes before the flags, for argparse's usage.
    """
    flags = argparse.ArgumentParser(prog=f"python -m core {command}", add_help=False)
    for parameter in method.parameters():
        flags.add_argument(f"--{parameter.name}", help=parameter.help, default=argparse.SUPPRESS)
    return {name: parse_value(text) for name, text in vars(flags.parse_args(words)).items()}
