"""`python -m core attack`: attack one image."""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from core import attacks, domains
from core.cli.options import Commands, add_output_flags, parse_parameters
from core.cli.recipes import find_image, run_and_save
from core.recipe import Method, Recipe
from core.recipe.notation import COLUMN, COLUMN_HELP, parse_column


def add_command(commands: Commands) -> None:
    """The command and its flags; the attack's own follow in `act`."""
    parser = commands.add_parser(
        "attack",
        help="attack one image; each parameter of the attack is a flag (see list)",
        epilog="Parameters of the attack follow as flags: --eps 8/255 --steps 40. See `python -m core list`.",
    )
    parser.add_argument("image", help="an image file, or the name of an image in the domain's gallery")
    parser.add_argument("--attack", default="pgd", choices=attacks.names())
    parser.add_argument("--defense", action="append", default=[], metavar=COLUMN, help=COLUMN_HELP)
    parser.add_argument("--domain", default="photos", choices=domains.names())
    parser.add_argument("--classifier", default="")
    parser.add_argument("--target", default="", help="a class by name or number; untargeted without it")
    parser.add_argument(
        "--true-class",
        default="",
        help="the image's true class by name or number, where the domain does not know it; unknown without it",
    )
    parser.add_argument("--attacker", default="grey", choices=("grey", "adaptive", "both"))
    parser.add_argument(
        "--backward",
        default="average",
        choices=("identity", "true", "best", "average"),
        help="how the adaptive attacker differentiates a defense",
    )
    parser.add_argument("--fit", default="crop", choices=("crop", "pad", "stretch"))
    parser.add_argument("--seed", type=int, default=0)
    add_output_flags(parser)
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, rest: list[str]) -> int:
    """Attack one image and save the outcome."""
    params = parse_parameters(f"attack --attack {options.attack}", attacks.get(options.attack), rest)
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    image = find_image(domains.get(options.domain), options.image, options.fit, uploads)
    recipe = Recipe(
        domain=options.domain,
        classifier=options.classifier,
        image=image,
        attack=Method(name=options.attack, params=params),
        target=options.target,
        true_class=options.true_class,
        defenses=tuple(parse_column(text) for text in options.defense),
        attacker=options.attacker,
        backward=options.backward,
        seed=options.seed,
    )
    return run_and_save(recipe, uploads, options)
