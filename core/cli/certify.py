"""`python -m core certify`: what a certificate promises of a set of images, or of one, beside the best attack."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core import certify, domains, files
from core.cli.options import Commands, parse_parameters
from core.cli.progress_bar import ProgressBar
from core.cli.recipes import find_image
from core.cli.tables import made_by, save_tables
from core.device import describe, pick
from core.domains.loading import load_images
from core.evaluate.certification import certify_image, certify_set
from core.evaluate.certification_report import image_rows, image_sentence, report, set_rows, set_sentence
from core.evaluate.tables import Row
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.progress import OnProgress
from core.recipe import ImageRef, Recipe, load_example

N_IMAGES = 100


@dataclass(frozen=True)
class ReportContent:
    """What the report shows: lines about the images, the attacks' titles, the table, and one sentence."""

    images: tuple[str, ...]
    attacks: str
    rows: list[Row]
    sentence: str


def add_command(commands: Commands) -> None:
    """The command and its flags; the certificate's own follow in `act`."""
    parser = commands.add_parser(
        "certify",
        help="what no attack inside a threat model can do to images; each parameter of the certificate is a flag (see list)",
        epilog="Parameters of the certificate follow as flags: --eps 8/255 --bound crown. See `python -m core list`.",
    )
    parser.add_argument("certificate", metavar="CERTIFICATE", help=", ".join(certify.names()))
    parser.add_argument("--domain", default="photos", help=", ".join(domains.names()))
    parser.add_argument("--classifier", default="", help="the domain's first without it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--images", type=int, default=N_IMAGES, help=f"how many; {N_IMAGES} without it")
    which.add_argument(
        "--image", default=None, help="one image: a file, or the name of an image in the domain's gallery"
    )
    parser.add_argument("--split", default="test", help="of --images")
    parser.add_argument(
        "--label",
        default="",
        help="the true class of --image by name or number, where the domain does not know it; unknown without it",
    )
    parser.add_argument("--fit", default="crop", choices=("crop", "pad", "stretch"), help="of --image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1, mps; the fastest without it")
    parser.add_argument("--out", type=Path, default=None, help="the folder for the tables; nothing is saved without it")
    parser.set_defaults(act=act)


def act(options: argparse.Namespace, rest: list[str]) -> int:
    """Certify the images or the image, print the table and save it."""
    method = certify.get(options.certificate)
    domain = domains.get(options.domain)
    params = parse_parameters(f"certify {method.name}", method, rest)
    certificate = certify.build(method.name, domain.attack_values(method, params))
    if options.label and options.image is None:
        raise InvalidInput("--label is the true class of --image; name an image, too.")
    uploads: dict[str, npt.NDArray[np.uint8]] = {}
    recipe = Recipe(
        domain=domain.name,
        classifier=options.classifier or domain.classifier_names()[0],
        image=ImageRef() if options.image is None else find_image(domain, options.image, options.fit, uploads),
        true_class=options.label,
        defenses=(),
        seed=options.seed,
    )
    if options.out is not None:
        files.check_writable(options.out)
    unit = next((p.unit for p in domain.attack_parameters(method) if p.name == "eps"), "")
    with ProgressBar() as bar:
        if options.image is None:
            content = _certify_set(certificate, recipe, unit, options, bar.show)
        else:
            content = _certify_image(certificate, recipe, uploads, unit, options, bar.show)
    title, parameters = domain.classifier_title(recipe.classifier), domain.attack_parameters(method)
    text = report(certificate, parameters, title, content.images, content.attacks, content.rows, content.sentence)
    text += f"\n{made_by(_command(options, recipe, rest))}"
    print(text, end="")
    if options.out is not None:
        kind = [] if options.image is None else ["image"]
        name = "-".join(["certify", method.name, domain.name, recipe.classifier, *kind])
        save_tables(options.out, name, text, content.rows)
        print(f"\nSaved in {files.display_path(options.out)}.")
    return 0


def _certify_set(
    certificate: certify.Certificate, recipe: Recipe, unit: str, options: argparse.Namespace, on_progress: OnProgress
) -> ReportContent:
    domain = domains.get(recipe.domain)
    numbers = domain.sample_indices(options.images, options.split, recipe.seed)
    classifier = domain.classifier(recipe.classifier, device=str(pick(options.device)))
    _check_fits(certificate, classifier)
    images, labels = load_images(domain, options.split, numbers.tolist(), classifier)
    result = certify_set(certificate, classifier, images, labels, seed=recipe.seed, on_progress=on_progress)
    assert result is not None  # the bar stops nothing
    said = (
        f"Images: {len(labels)} {options.split} images of {domain.title}, seed {recipe.seed}; 95 % intervals (Wilson)."
    )
    missing = domain.missing_reason()
    return ReportContent(
        images=(*([] if missing is None else [missing]), said, _device_line(classifier)),
        attacks=result.attacks,
        rows=set_rows(result, unit),
        sentence=set_sentence(result, unit),
    )


def _certify_image(
    certificate: certify.Certificate,
    recipe: Recipe,
    uploads: dict[str, npt.NDArray[np.uint8]],
    unit: str,
    options: argparse.Namespace,
    on_progress: OnProgress,
) -> ReportContent:
    example = load_example(recipe, device=options.device, uploads=uploads)
    classifier = example.classifier
    _check_fits(certificate, classifier)
    result = certify_image(
        certificate, classifier, example.images, example.label, seed=recipe.seed, on_progress=on_progress
    )
    assert result is not None
    domain, name = domains.get(recipe.domain), files.display_path(options.image)
    if example.image_ref.kind == "gallery":
        credit = domain.gallery_item(name).credit
        name = f"{name} of {domain.title}{f' ({credit})' if credit else ''}"
    truth = f"true class {classifier.classes[example.label]!r}" if example.label_known else "true class unknown"
    return ReportContent(
        images=(f"Image: {name}, {truth}, seed {recipe.seed}.", _device_line(classifier)),
        attacks=result.attacks,
        rows=image_rows(result, unit, classifier.classes),
        sentence=image_sentence(result, unit, classifier.classes, example.known_label),
    )


def _check_fits(certificate: certify.Certificate, classifier: Classifier) -> None:
    if reason := certificate.fits(classifier):
        raise InvalidInput(reason)


def _device_line(classifier: Classifier) -> str:
    return f"Device: {describe(str(classifier.device))}."


def _command(options: argparse.Namespace, recipe: Recipe, rest: list[str]) -> list[str]:
    """The words that certify the same again."""
    words = ["certify", options.certificate, "--domain", recipe.domain, "--classifier", recipe.classifier]
    if options.image is None:
        words += ["--images", str(options.images), "--split", options.split]
    else:
        words += ["--image", options.image, *(["--label", options.label] if options.label else [])]
        words += ["--fit", options.fit]
    return [*words, "--seed", str(recipe.seed), *rest]
