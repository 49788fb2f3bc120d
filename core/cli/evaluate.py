"""`python -m core evaluate`: a plan from flags or a file, or a paper's table, with or without Ray."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from core import certify, detectors, files
from core.cli.options import Commands
from core.cli.progress_bar import ProgressBar
from core.cli.tables import made_by, save_tables
from core.device import pick
from core.evaluate.cluster import distribute
from core.evaluate.eps_grid import at_each_eps
from core.evaluate.metrics import Metrics
from core.evaluate.plan import Plan
from core.evaluate.report import matrix, report
from core.evaluate.running import devices_note, evaluate
from core.evaluate.store import RunStore
from core.inputs import InvalidInput
from core.progress import OnProgress
from core.recipe.notation import COLUMN, COLUMN_HELP, parse_chain, parse_column
from core.reproduce import TABLES, PaperTable, Settings

OF_A_PLAN = (
    *("attack", "eps", "target", "defense", "attacker", "backward", "detector", "certificate"),
    *("crafted_on", "split", "batch", "save_images"),
)  # flags that a paper's table settles itself


def add_command(commands: Commands) -> None:
    """The command and its flags."""
    parser = commands.add_parser(
        "evaluate",
        help="attacks and defenses over many images; or a paper's table, the published numbers beside",
    )
    parser.add_argument(
        "table_or_plan",
        nargs="?",
        default="",
        metavar="TABLE|PLAN.json",
        help=f"a paper's table ({', '.join(TABLES)}), or a PLAN.json; else flags",
    )
    parser.add_argument("--domain", default="")
    parser.add_argument("--classifier", action="append", default=[], help="repeat it for several")
    parser.add_argument(
        "--crafted-on",
        default="",
        metavar="CLASSIFIER",
        help="craft every attack on this one (black box); each on its own without it",
    )
    parser.add_argument("--images", type=int, default=None, help="how many; 16, or the table's own, without it")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", action="append", default=[], metavar="NAME[:p=v,...]", help="repeat it for several")
    parser.add_argument("--eps", default="", help="2/255,4/255: each attack that has an eps at each of these")
    parser.add_argument("--target", default="", help="a class by name or number; untargeted without it")
    parser.add_argument("--defense", action="append", default=[], metavar=COLUMN, help=COLUMN_HELP)
    parser.add_argument("--attacker", default="both", choices=("grey", "adaptive", "both"))
    parser.add_argument("--backward", default="average", choices=("identity", "true", "best", "average"))
    parser.add_argument("--batch", type=int, default=25, help="images attacked together; what a cut costs at most")
    parser.add_argument("--save-images", type=int, default=100, help="of how many images the attacked ones are kept")
    parser.add_argument(
        "--detector",
        action="append",
        default=[],
        metavar="NAME[:p=v,...]",
        help=f"score the images with it too ({', '.join(detectors.names())}); repeat it for several",
    )
    parser.add_argument(
        "--certificate",
        action="append",
        default=[],
        metavar="NAME[:p=v,...]",
        help=f"certify the images too ({', '.join(certify.names())}), where it fits; repeat it for several",
    )
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")
    parser.add_argument("--ray", default="", metavar="ADDRESS|local", help="on a Ray cluster; local starts one here")
    parser.add_argument("--workers", type=int, default=None, help="of a local Ray cluster")
    parser.add_argument("--store", type=Path, default=None, help="the run's file; in MIRAGE_DATA/runs without it")
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"), help="the folder for the tables")
    parser.set_defaults(act=act, usual={word: parser.get_default(word) for word in OF_A_PLAN})


def act(options: argparse.Namespace, _rest: list[str]) -> int:
    """Measure it, print the tables and save them."""
    table = TABLES.get(options.table_or_plan)
    plan = None if table is not None else _plan(options)
    files.check_writable(options.out)
    if options.store is not None:
        files.check_writable(options.store.parent)
    with ProgressBar() as bar:
        if table is not None:
            return _measure(table, options, bar.show)
        assert plan is not None
        return _evaluate(plan, options, bar.show)


def _evaluate(plan: Plan, options: argparse.Namespace, on_progress: OnProgress) -> int:
    with RunStore.create(plan, devices_note(str(pick(options.device))), options.store) as run:
        if options.ray:
            distribute(run, options.ray, workers=options.workers, on_progress=on_progress)
        else:
            evaluate(run, device=options.device, on_progress=on_progress)
        metrics = Metrics(run)
        text = report(metrics)
        save_tables(options.out, plan.name, text, matrix(metrics))
        print(f"{text}\nSaved in {files.display_path(options.out)}; the run is {files.display_path(run.path)}.")
    return 0


def _measure(table: PaperTable, options: argparse.Namespace, on_progress: OnProgress) -> int:
    given = [f"--{word.replace('_', '-')}" for word, usual in options.usual.items() if getattr(options, word) != usual]
    if given:
        raise InvalidInput(f"{table.name} has its own attacks, defenses and attackers; leave out {', '.join(given)}.")
    if len(options.classifier) > 1:
        raise InvalidInput(f"{table.name} takes one classifier, not {len(options.classifier)}.")
    settings = Settings(
        n_images=options.images,
        seed=options.seed,
        domain=options.domain,
        classifier=options.classifier[0] if options.classifier else "",
        device=options.device,
        folder=options.out,
        store=options.store,
        ray=options.ray,
        workers=options.workers,
    )
    measured = table.measure(settings, on_progress)
    if measured is None:
        return 1
    text = f"{measured.report}\n{made_by(_command(options, measured.n_images))}"
    save_tables(options.out, table.name, text, measured.rows)
    where = "" if measured.run_file is None else f"; the run is {files.display_path(measured.run_file)}"
    print(f"{text}\nSaved in {files.display_path(options.out)}{where}.")
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    path = options.table_or_plan
    if path:
        if not os.path.lexists(path):
            raise InvalidInput(
                f"{files.display_path(path)!r} is neither a file nor a paper's table; there are {', '.join(TABLES)}."
            )
        return Plan.from_json(files.read_bytes(path, files.MAX_TEXT))
    domain = options.domain or "photos"
    methods = [method for text in options.attack or ["pgd"] for method in parse_chain(text)]
    return Plan(
        domain=domain,
        classifiers=tuple(options.classifier),
        crafted_on=options.crafted_on,
        split=options.split,
        n_images=16 if options.images is None else options.images,
        seed=options.seed,
        attacks=tuple(at_each_eps(methods, [eps for eps in options.eps.split(",") if eps], domain)),
        target=options.target,
        defenses=tuple(parse_column(text) for text in options.defense),
        attacker=options.attacker,
        backward=options.backward,
        batch=options.batch,
        save_images=options.save_images,
        detectors=tuple(method for text in options.detector for method in parse_chain(text)),
        certificates=tuple(method for text in options.certificate for method in parse_chain(text)),
    )


def _command(options: argparse.Namespace, n_images: int) -> list[str]:
    """The words that make the same table again."""
    words = ["evaluate", options.table_or_plan, "--images", str(n_images), "--seed", str(options.seed)]
    words += ["--domain", options.domain] if options.domain else []
    return words + [word for name in options.classifier for word in ("--classifier", name)]
