"""The command line: the same recipes without a screen.

python -m core list
python -m core attack IMAGE --attack pgd --eps 8/255 --defense jpeg --out DIR
python -m core certify linf --domain mnist --classifier mlp_certified --eps 0.01
python -m core run RECIPE.json --out DIR
python -m core train PLAN_NAME|PLAN.json
python -m core measure hgd_cifar10_vgg
python -m core evaluate --domain cifar10 --images 500 --attack pgd --defense lgs
python -m core evaluate lgs-table-1
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from core import files, memory, plugins
from core.cli import attack, certify, evaluate, measure, methods, run, train
from core.declaration import format_errors
from core.inputs import InvalidInput
from core.models import artifacts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 2 with one sentence on standard error when it could not."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    memory.tune_malloc()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is no UTF-8, a sign that the terminal lacks
            stream.reconfigure(errors="replace")
    for sentence in (*plugins.problems(), *artifacts.problems()):
        _print_problem(f"warning: {sentence}")
    try:
        # The flags of `attack` and `certify` depend on the method, so the rest of the line is read in a second pass.
        options, rest = _parser().parse_known_args(arguments)
        if rest and options.command not in ("attack", "certify"):
            _parser().error(f"unrecognized arguments: {' '.join(rest)}")
        return int(options.act(options, rest))
    except InvalidInput as error:
        _print_problem(str(error))
        return 2
    except ValidationError as error:  # of what the flags describe: a column, a method
        _print_problem(format_errors(error, "This command", {}))
        return 2
    except OSError as error:
        _print_problem(
            f"{files.display_path(error.filename)}: {files.reason(error)}."
            if error.filename
            else f"{files.reason(error)}."
        )
        return 2
    except KeyboardInterrupt:
        print("mirage: stopped.", file=sys.stderr)
        return 130


def _print_problem(sentence: str) -> None:
    print(f"mirage: {sentence}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="Mirage without a screen.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (methods, run, attack, certify, evaluate, train, measure):
        command.add_command(commands)
    return parser
