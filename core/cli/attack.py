"""`python -m core attack`: attack one image."""

from __future__ import annotations

import argparse
import os

import numpy as np
import numpy.typing as npt

from core import attacks, domains, files
from core.cli.options import Commands, add_output_flags
from core.cli.recipes import run_and_save, upload
from core.inputs import BadInput
from core.recipe import Method, Picture, Recipe
from core.recipe.notation import COLUMN, COLUMN_HELP, parse_column, parse_value


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
    method = attacks.get(options.attack)
    flags = argparse.ArgumentParser(prog=f"python -m core attack --attack {options.attack}", add_help=False)
    for parameter in method.parameters():
        flags.add_argument(f"--{parameter.name}", help=parameter.help, default=argparse.SUPPRESS)
    params = {name: parse_value(text) for name, text in vars(flags.parse_args(rest)).items()}
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    domain = domains.get(options.domain)
    if any(item.name == options.image for item in domain.gallery()) and not os.path.isfile(options.image):
        picture = Picture(name=options.image, fit=options.fit)
    elif os.path.lexists(options.image):
        digest = upload(options.image, uploads)
        name = files.shown(os.path.basename(options.image))[:80]
        picture = Picture(kind="upload", name=name, digest=digest, fit=options.fit)
    else:
        names = ", ".join(item.name for item in domain.gallery())
        raise BadInput(
            f"{files.shown(options.image)!r} is neither a file nor in the gallery of {domain.title}, which has {names}."
        )
    recipe = Recipe(
        domain=options.domain,
        classifier=options.classifier,
        picture=picture,
        attack=Method(name=options.attack, params=params),
        target=options.target,
        true_class=options.true_class,
        defenses=tuple(parse_column(text) for text in options.defense),
        attacker=options.attacker,
        backward=options.backward,
        seed=options.seed,
    )
    return run_and_save(recipe, uploads, options)
