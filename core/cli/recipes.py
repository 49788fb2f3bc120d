"""Running a recipe in the terminal: the user's image file, the files of the outcome, the printed report."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from core import domains, files, images
from core.cli.progress_bar import ProgressBar
from core.declaration import format_value
from core.domains import Domain
from core.inputs import InvalidInput
from core.recipe import ImageRef, Outcome, Recipe, run


def upload(path: str | Path, uploads: dict[str, npt.NDArray[np.uint8]]) -> str:
    """Read an image file into `uploads`; its digest."""
    data = files.read_bytes(path, images.MAX_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    try:
        uploads[digest] = images.decode(data)
    except InvalidInput as error:
        raise InvalidInput(f"{files.display_path(path)}: {error}") from None
    return digest


def find_image(
    domain: Domain, image: str, fit: Literal["crop", "pad", "stretch"], uploads: dict[str, npt.NDArray[np.uint8]]
) -> ImageRef:
    """The image that a user names: a file, which is read into `uploads`, or a name in the domain's gallery.

    Raises:
        InvalidInput: it is neither, or the file is no image.
    """
    names = [item.name for item in domain.gallery()]
    if image in names and not os.path.isfile(image):
        return ImageRef(name=image, fit=fit)
    if not os.path.lexists(image):
        raise InvalidInput(
            f"{files.display_path(image)!r} is neither a file nor in the gallery of {domain.title}, which has {', '.join(names)}."
        )
    digest = upload(image, uploads)
    return ImageRef(kind="upload", name=files.display_path(os.path.basename(image))[:80], digest=digest, fit=fit)


def run_and_save(recipe: Recipe, uploads: dict[str, npt.NDArray[np.uint8]], options: argparse.Namespace) -> int:
    """Run the recipe, save images, recipe and outcome, and print what happened."""
    files.check_writable(options.out)
    with ProgressBar() as bar:
        outcome = run(recipe, device=options.device, uploads=uploads, on_progress=bar.show)
    _save(outcome, options.out)
    _report(outcome)
    print(f"Saved in {files.display_path(options.out)}.")
    return 0


def _save(outcome: Outcome, folder: Path) -> None:
    (folder / "recipe.json").write_text(outcome.recipe.to_json() + "\n", encoding="utf-8")
    (folder / "outcome.json").write_text(outcome.to_json() + "\n", encoding="utf-8")
    images_by_name = {"clean": outcome.clean, "adversarial": outcome.attacked.adversarial}
    for number, column in enumerate(outcome.columns, start=1):
        for kind, guard in (("grey", column.grey), ("adaptive", column.adaptive)):
            if guard is not None:
                images_by_name[f"defended_{number}_{kind}"] = guard.defended
            if guard is not None and guard.attack is not None:
                images_by_name[f"adversarial_{number}_{kind}"] = guard.attack.adversarial
    for name, pixels in images_by_name.items():
        (folder / f"{name}.png").write_bytes(images.png(pixels))


def _report(outcome: Outcome) -> None:
    names, attacked = outcome.classes, outcome.attacked
    truth = f"true class {names[outcome.label]}" if outcome.label_known else "true class unknown (see --true-class)"
    print(
        f"clean        {names[outcome.clean_prediction.label]} {100 * outcome.clean_prediction.confidence:.1f} %; {truth}"
    )
    number = attacked.steps_to_success if attacked.success else attacked.iterations
    took = f"{'after' if attacked.success else 'no success in'} {number} step{'' if number == 1 else 's'}"
    stopped = ", stopped" if attacked.stopped else ""
    print(
        f"adversarial  {names[attacked.prediction.label]} {100 * attacked.prediction.confidence:.1f} % {took}{stopped}: {attacked.method}"
    )
    norms = attacked.norms
    linf = format_value(norms.linf, domains.get(outcome.domain).linf.unit)
    print(f"             L0 {norms.l0} pixels, L2 {norms.l2:.3g}, L∞ {linf}, SSIM {norms.ssim:.4f}")
    values = outcome.recipe.build_attack().values()
    if "eps" in values and values.get("norm") != "l2" and images.rounding_note(values["eps"]):
        print(f"             {images.rounding_note(values['eps'])}")
    for column in outcome.columns:
        for kind, guard in (("grey box", column.grey), ("adaptive", column.adaptive)):
            if guard is not None:
                mark = ("✓ " if guard.recovered else "✗ ") if outcome.label_known else ""
                print(
                    f"{kind:<13}{mark}{names[guard.prediction.label]} {100 * guard.prediction.confidence:.1f} %: {column.defense}"
                )
