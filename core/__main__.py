"""The command line: the same recipes without a screen.

python -m core list
python -m core attack PICTURE --attack pgd --eps 8/255 --defense jpeg --out DIR
python -m core run RECIPE.json --out DIR
python -m core train PLAN_NAME|PLAN.json
python -m core evaluate --domain cifar10 --images 500 --attack pgd --defense lgs
python -m core evaluate lgs-table-1
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from core import attacks, defenses, domains, files, images, memory, plugins, training
from core.declaration import Declared, Parameter, shown
from core.evaluate import command as evaluating
from core.inputs import BadInput
from core.models import artifacts
from core.recipe import Method, Outcome, Picture, Progress, Recipe, run
from core.recipe.notation import COLUMN, COLUMN_HELP, parse_column, parse_value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 2 with one sentence on standard error when it could not."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    memory.keep()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is no UTF-8, a sign that the terminal lacks
            stream.reconfigure(errors="replace")
    for sentence in (*plugins.problems(), *artifacts.problems()):
        _tell(f"warning: {sentence}")
    try:
        # The flags of `attack` depend on which attack it is, so the rest of the line is read in a second pass.
        options, rest = _parser().parse_known_args(arguments)
        if rest and options.command != "attack":
            _parser().error(f"unrecognized arguments: {' '.join(rest)}")
        return int(options.act(options, rest))
    except BadInput as error:
        _tell(str(error))
        return 2
    except OSError as error:
        _tell(f"{files.shown(error.filename)}: {files.reason(error)}." if error.filename else f"{files.reason(error)}.")
        return 2
    except KeyboardInterrupt:
        print("mirage: stopped.", file=sys.stderr)
        return 130


def _tell(sentence: str) -> None:
    print(f"mirage: {sentence}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="Mirage without a screen.")
    commands = parser.add_subparsers(dest="command", required=True)

    listing = commands.add_parser(
        "list", help="the domains, classifiers, attacks and defenses there are, with their parameters"
    )
    listing.set_defaults(act=_list)

    running = commands.add_parser("run", help="run a recipe from a file")
    running.add_argument("recipe", type=Path, metavar="RECIPE.json")
    running.add_argument("--picture", type=Path, help="the picture file, for a recipe about an uploaded one")
    _common(running)
    running.set_defaults(act=_run)

    attacking = commands.add_parser(
        "attack",
        help="attack one picture; each parameter of the attack is a flag (see list)",
        epilog="Parameters of the attack follow as flags: --eps 8/255 --steps 40. See `python -m core list`.",
    )
    attacking.add_argument("picture", help="a picture file, or the name of a picture in the domain's gallery")
    attacking.add_argument("--attack", default="pgd", choices=attacks.names())
    attacking.add_argument("--defense", action="append", default=[], metavar=COLUMN, help=COLUMN_HELP)
    attacking.add_argument("--domain", default="photos", choices=domains.names())
    attacking.add_argument("--classifier", default="")
    attacking.add_argument("--target", default="", help="a class by name or number; untargeted without it")
    attacking.add_argument(
        "--true-class",
        default="",
        help="the image's true class by name or number, where the domain does not know it; unknown without it",
    )
    attacking.add_argument("--attacker", default="grey", choices=("grey", "adaptive", "both"))
    attacking.add_argument(
        "--backward",
        default="average",
        choices=("identity", "true", "best", "average"),
        help="how the adaptive attacker differentiates a defense",
    )
    attacking.add_argument("--fit", default="crop", choices=("crop", "pad", "stretch"))
    attacking.add_argument("--seed", type=int, default=0)
    _common(attacking)
    attacking.set_defaults(act=_attack)

    judging = commands.add_parser(
        "evaluate",
        help="attacks and defenses over many pictures; or a paper's experiment, the published numbers beside",
    )
    evaluating.add_flags(judging)
    judging.set_defaults(act=_evaluate)

    learning = commands.add_parser("train", help="train a classifier or attention masks")
    learning.add_argument("plan", metavar="PLAN", help=f"a PLAN.json, or one of {', '.join(training.PLANS)}")
    learning.add_argument(
        "--out", type=Path, default=Path("out/train"), help="where weights and card go, and the folder of the run"
    )
    learning.add_argument("--epochs", type=int, default=None, help="of the plan's first stage")
    learning.add_argument("--seed", type=int, default=None)
    learning.add_argument("--device", default=None)
    learning.set_defaults(act=_train)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for pictures, recipe and numbers")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")


def _list(_options: argparse.Namespace, _rest: list[str]) -> int:
    print("Domains")
    for name in domains.names():
        domain = domains.get(name)
        print(f"  {name:<16}{domain.title}: {domain.note}")
        print(f"    attacks' eps: {shown(domain.linf.eps, domain.linf.unit)} in L∞, {domain.l2.eps:g} in L2")
        for classifier in domain.classifier_names():
            print(f"    {classifier:<24}{domain.classifier_title(classifier)}")
    for title, kinds in (("Attacks", attacks.REGISTRY), ("Defenses", defenses.REGISTRY)):
        print(f"\n{title}")
        for name in kinds.names():
            _describe(kinds.get(name))
    return 0


def _describe(method: type[Declared]) -> None:
    print(f"  {method.name:<16}{method.title}: {method.summary} {method.paper}".rstrip())
    for parameter in method.parameters():
        print(f"    --{parameter.name:<14}{_range(parameter):<28}{parameter.help}")


def _range(parameter: Parameter) -> str:
    default = "worked out" if parameter.default is None else shown(parameter.default, parameter.unit)
    if parameter.choices:
        return f"{'|'.join(parameter.choices)} [{default}]"
    if parameter.low is None or parameter.high is None:
        return f"[{default}]"
    return f"{shown(parameter.low, parameter.unit)} to {shown(parameter.high, parameter.unit)} [{default}]"


def _attack(options: argparse.Namespace, rest: list[str]) -> int:
    method = attacks.get(options.attack)
    flags = argparse.ArgumentParser(prog=f"python -m core attack --attack {options.attack}", add_help=False)
    for parameter in method.parameters():
        flags.add_argument(f"--{parameter.name}", help=parameter.help, default=argparse.SUPPRESS)
    params = {name: parse_value(text) for name, text in vars(flags.parse_args(rest)).items()}
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    domain = domains.get(options.domain)
    if any(item.name == options.picture for item in domain.gallery()) and not os.path.isfile(options.picture):
        picture = Picture(name=options.picture, fit=options.fit)
    elif os.path.lexists(options.picture):
        digest = _upload(options.picture, uploads)
        name = files.shown(os.path.basename(options.picture))[:80]
        picture = Picture(kind="upload", name=name, digest=digest, fit=options.fit)
    else:
        names = ", ".join(item.name for item in domain.gallery())
        raise BadInput(
            f"{files.shown(options.picture)!r} is neither a file nor in the gallery of {domain.title}, which has {names}."
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
    return _finish(recipe, uploads, options)


def _upload(path: str | Path, uploads: dict[str, npt.NDArray[np.uint8]]) -> str:
    """Read an image file into `uploads`; its digest."""
    data = files.read_bytes(path, images.MAX_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    try:
        uploads[digest] = images.decode(data)
    except BadInput as error:
        raise BadInput(f"{files.shown(path)}: {error}") from None
    return digest


def _run(options: argparse.Namespace, _rest: list[str]) -> int:
    recipe = Recipe.from_json(files.read_bytes(options.recipe, files.MAX_TEXT))
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    if options.picture is not None:
        digest = _upload(options.picture, uploads)
        if recipe.picture.kind == "upload" and recipe.picture.digest not in ("", digest):
            raise BadInput(
                f"{files.shown(options.picture)} is not the picture that this recipe is about: its SHA-256 differs."
            )
        recipe = recipe.but(picture={**recipe.picture.model_dump(), "kind": "upload", "digest": digest})
    return _finish(recipe, uploads, options)


def _finish(recipe: Recipe, uploads: dict[str, npt.NDArray[np.uint8]], options: argparse.Namespace) -> int:
    files.check_writable(options.out)
    with _Bar() as bar:
        outcome = run(recipe, device=options.device, uploads=uploads, watch=bar.show)
    _save(outcome, options.out)
    _report(outcome)
    print(f"Saved in {files.shown(options.out)}.")
    return 0


def _save(outcome: Outcome, folder: Path) -> None:
    (folder / "recipe.json").write_text(outcome.recipe.to_json() + "\n", encoding="utf-8")
    (folder / "outcome.json").write_text(outcome.to_json() + "\n", encoding="utf-8")
    pictures = {"clean": outcome.clean, "adversarial": outcome.attacked.adversarial}
    for number, column in enumerate(outcome.columns, start=1):
        for kind, guard in (("grey", column.grey), ("adaptive", column.adaptive)):
            if guard is not None:
                pictures[f"defended_{number}_{kind}"] = guard.defended
            if guard is not None and guard.attack is not None:
                pictures[f"adversarial_{number}_{kind}"] = guard.attack.adversarial
    for name, pixels in pictures.items():
        (folder / f"{name}.png").write_bytes(images.png(pixels))


def _report(outcome: Outcome) -> None:
    names, attacked = outcome.classes, outcome.attacked
    truth = f"true class {names[outcome.label]}" if outcome.label_known else "true class unknown (see --true-class)"
    print(f"clean        {names[outcome.before.label]} {outcome.before.confidence:.1%}; {truth}")
    number = attacked.first if attacked.success else attacked.iterations
    took = f"{'after' if attacked.success else 'no success in'} {number} step{'' if number == 1 else 's'}"
    stopped = ", stopped" if attacked.stopped else ""
    print(
        f"adversarial  {names[attacked.verdict.label]} {attacked.verdict.confidence:.1%} {took}{stopped}: {attacked.method}"
    )
    norms = attacked.norms
    linf = shown(norms.linf, domains.get(outcome.domain).linf.unit)
    print(f"             L0 {norms.l0} pixels, L2 {norms.l2:.3g}, L∞ {linf}, SSIM {norms.ssim:.4f}")
    values = outcome.recipe.built_attack().values()
    if "eps" in values and values.get("norm") != "l2" and images.rounding_note(values["eps"]):
        print(f"             {images.rounding_note(values['eps'])}")
    for column in outcome.columns:
        for kind, guard in (("grey box", column.grey), ("adaptive", column.adaptive)):
            if guard is not None:
                mark = ("✓ " if guard.recovered else "✗ ") if outcome.label_known else ""
                print(f"{kind:<13}{mark}{names[guard.verdict.label]} {guard.verdict.confidence:.1%}: {column.defense}")


def _train(options: argparse.Namespace, _rest: list[str]) -> int:
    plan = training.find_plan(options.plan).replace(seed=options.seed, epochs=options.epochs)
    files.check_writable(options.out)
    with _Bar() as bar:
        card = training.train(
            plan,
            options.out,
            options.device,
            lambda progress: bar.show(Progress(progress.text, progress.step, progress.steps)),
        )
    if card is not None:
        print(f"Saved in {files.shown(options.out)}. {card.figures()}")
    return 0


def _evaluate(options: argparse.Namespace, _rest: list[str]) -> int:
    with _Bar() as bar:
        return evaluating.act(options, lambda text, done, total: bar.show(Progress(text, done, total)))


class _Bar:
    """A progress bar that follows `Progress`; a new one for each new text."""

    def __enter__(self) -> _Bar:
        self.bar: tqdm[Any] | None = None
        self.text = ""
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, progress: Progress) -> None:
        if self.bar is None or self.bar.total != progress.total:
            if self.bar is not None:
                self.bar.close()
            self.bar = tqdm(total=progress.total, unit="step", leave=False, file=sys.stderr)
        self.bar.set_description(progress.text, refresh=False)
        self.bar.update(progress.done - self.bar.n)


if __name__ == "__main__":
    sys.exit(main())
