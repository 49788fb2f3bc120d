"""`python -m core run`: run a recipe from a file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core import files
from core.cli.options import Commands, add_output_flags
from core.cli.recipes import run_and_save, upload
from core.inputs import InvalidInput
from core.recipe import Recipe


def add_command(commands: Commands) -> None:
    """The command and its flags."""
    parser = commands.add_parser("run", help="run a recipe from a file")
    parser.add_argument("recipe", type=Path, metavar="RECIPE.json")
    parser.add_argument("--image", type=Path, help="the image file, for a recipe about an uploaded one")
    add_output_flags(parser)
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, _rest: list[str]) -> int:
    """Run the recipe and save the outcome."""
    recipe = Recipe.from_json(files.read_bytes(options.recipe, files.MAX_TEXT))
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    if options.image is not None:
        digest = upload(options.image, uploads)
        if recipe.image.kind == "upload" and recipe.image.digest not in ("", digest):
            raise InvalidInput(
                f"{files.display_path(options.image)} is not the image that this recipe is about: its SHA-256 differs."
            )
        recipe = recipe.replace(image={**recipe.image.model_dump(), "kind": "upload", "digest": digest})
    return run_and_save(recipe, uploads, options)
