"""`python -m core evaluate`: a plan from flags or a file, or a paper's experiment, with or without Ray."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core import attacks, domains, files
from core.device import pick
from core.evaluate.cluster import distribute
from core.evaluate.lgs import EXPERIMENTS, Experiment
from core.evaluate.measures import Findings
from core.evaluate.plan import Plan
from core.evaluate.report import matrix, report
from core.evaluate.reproductions import REPRODUCTIONS
from core.evaluate.running import Advance, devices_note, evaluate
from core.evaluate.store import Run
from core.evaluate.tables import Row, csv, latex
from core.inputs import BadInput
from core.recipe.columns import Method
from core.recipe.notation import COLUMN, COLUMN_HELP, parse_chain, parse_column
from core.recipe.recipe import build_attack

Show = Callable[[str, int, int], None]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    known = ", ".join((*EXPERIMENTS, *REPRODUCTIONS))
    parser.add_argument(
        "what", nargs="?", default="", help=f"a paper's experiment ({known}), or a PLAN.json; else flags"
    )
    parser.add_argument("--domain", default=None)
    parser.add_argument("--classifier", action="append", default=[], help="repeat it for several")
    parser.add_argument(
        "--crafted-on",
        default="",
        metavar="CLASSIFIER",
        help="craft every attack on this one (black box); each on its own without it",
    )
    parser.add_argument("--images", type=int, default=None, help="how many; 16, or the experiment's own, without it")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", action="append", default=[], metavar="NAME[:p=v,...]", help="repeat it for several")
    parser.add_argument("--eps", default="", help="2/255,4/255: each attack that has an eps at each of these")
    parser.add_argument("--target", default="", help="a class by name or number; untargeted without it")
    parser.add_argument("--defense", action="append", default=[], metavar=COLUMN, help=COLUMN_HELP)
    parser.add_argument("--attacker", default="both", choices=("grey", "adaptive", "both"))
    parser.add_argument("--backward", default="average", choices=("identity", "true", "best", "average"))
    parser.add_argument("--batch", type=int, default=25, help="pictures attacked together; what a cut costs at most")
    parser.add_argument("--save-images", type=int, default=100, help="of how many pictures the attacked ones are kept")
    parser.add_argument("--detect", action="store_true", help="ask the feature-squeezing detector too")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")
    parser.add_argument("--ray", default="", metavar="ADDRESS|local", help="on a Ray cluster; local starts one here")
    parser.add_argument("--workers", type=int, default=None, help="of a local Ray cluster")
    parser.add_argument("--store", type=Path, default=None, help="the run's file; in MIRAGE_DATA/runs without it")
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"), help="the folder for the tables")


def act(options: argparse.Namespace, show: Show) -> int:
    """Run it, print the tables and save them; `show` draws progress."""
    if options.what in REPRODUCTIONS:
        return _reproduce(options, show)
    experiment = EXPERIMENTS.get(options.what)
    plan = _plan(options, experiment)
    files.check_writable(options.out)
    if options.store is not None:
        files.check_writable(options.store.parent)
    run = Run.create(plan, devices_note(str(pick(options.device))), options.store)

    def watch(advance: Advance) -> None:
        show(advance.text, advance.done, advance.total)

    with run:
        if options.ray:
            distribute(run, options.ray, workers=options.workers, watch=watch)
        else:
            evaluate(run, device=options.device, watch=watch)
        findings = Findings(run)
        text = f"{experiment.report(findings)}\n{_made_by(options, plan.n_images)}" if experiment else report(findings)
        rows = experiment.rows(findings) if experiment else matrix(findings)
        _save(options.out, experiment.name if experiment else plan.name, text, rows)
        print(f"{text}\nSaved in {files.shown(options.out)}; the run is {files.shown(run.path)}.")
    return 0


def _plan(options: argparse.Namespace, experiment: Experiment | None) -> Plan:
    if experiment is not None:
        count = experiment.pictures if options.images is None else options.images
        classifier = options.classifier[0] if options.classifier else ""
        return experiment.plan(options.domain or "imagenette", classifier, count, options.seed)
    if options.what:
        if not os.path.lexists(options.what):
            known = ", ".join((*EXPERIMENTS, *REPRODUCTIONS))
            raise BadInput(f"{files.shown(options.what)!r} is neither a file nor an experiment; there are {known}.")
        return Plan.from_json(files.read_bytes(options.what, files.MAX_TEXT))
    chosen = [method for text in options.attack or ["pgd"] for method in parse_chain(text)]
    given: dict[str, Any] = {
        "domain": options.domain or "photos",
        "classifiers": tuple(options.classifier),
        "crafted_on": options.crafted_on,
        "split": options.split,
        "n_images": 16 if options.images is None else options.images,
        "seed": options.seed,
        "attacks": tuple(at_each(chosen, [eps for eps in options.eps.split(",") if eps], options.domain or "photos")),
        "target": options.target,
        "defenses": tuple(parse_column(text) for text in options.defense),
        "attacker": options.attacker,
        "backward": options.backward,
        "batch": options.batch,
        "save_images": options.save_images,
        "detect": options.detect,
    }
    return Plan(**given)


def at_each(methods: list[Method], eps: list[str], domain: str = "photos") -> list[Method]:
    """Every attack that has an eps at each of the given ones; the others, and all without any, as they are."""
    result = []
    for method in methods:
        has = eps and any(parameter.name == "eps" for parameter in attacks.get(method.name).parameters())
        given = [{**method.params, "eps": value} for value in eps] if has else [method.params]
        # Through the attack and back: '8/255' and 0.0314 are the same plan.
        result += [_plain(Method(name=method.name, params=params), domain) for params in given]
    return result


def _plain(method: Method, domain: str) -> Method:
    """The method with the parameters, as numbers, that differ from the domain's defaults."""
    values = build_attack(domain, method).values()
    parameters = domains.get(domain).attack_parameters(attacks.get(method.name), method.params)
    return Method(name=method.name, params={p.name: values[p.name] for p in parameters if values[p.name] != p.default})


def _reproduce(options: argparse.Namespace, show: Show) -> int:
    experiment = REPRODUCTIONS[options.what]
    count = experiment.pictures if options.images is None else options.images
    files.check_writable(options.out)
    rows = experiment.run(
        count, options.seed, options.device, options.out, lambda done, total, text: show(text, done, total)
    )
    text = f"{experiment.report(rows, count, options.seed)}\n{_made_by(options, count)}"
    _save(options.out, options.what, text, rows)
    print(f"{text}\nSaved in {files.shown(options.out)}.")
    return 0


def _made_by(options: argparse.Namespace, count: int) -> str:
    """The command that makes the same table again, and the versions that made this one; a line of Markdown."""
    chosen = [f"--domain {options.domain}"] if options.domain else []
    chosen += [f"--classifier {name}" for name in options.classifier]
    command = " ".join([options.what, f"--images {count}", f"--seed {options.seed}", *chosen])
    return f"Made by `python -m core evaluate {command}` with torch {torch.__version__}, Python {platform.python_version()}.\n"


def _save(folder: Path, name: str, text: str, rows: list[Row]) -> None:
    for ending, content in (("md", text), ("csv", csv(rows)), ("tex", latex(rows))):
        (folder / f"{name}.{ending}").write_text(content, encoding="utf-8")
