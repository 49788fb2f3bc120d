"""What a detector goes by: its scores of clean images, and its evidence for the image at hand."""

from __future__ import annotations

import numpy as np
import torch

from app.components.image_row import Role, Tile
from app.components.tables import Row
from app.runtime import progress
from app.state import result_keys
from app.text import attacked_title, plural
from app.verdicts.detect import score_words
from core import detectors as detector_methods
from core import domains, images
from core.detectors import Detector, FeatureSqueezing, MaskDisagreement
from core.figures.colormaps import CIVIDIS, levels
from core.progress import OnProgress, Progress
from core.recipe import AttackOutcome, Example, Recipe

N_CALIBRATION = 200  # clean images that a threshold is chosen on


def detectors(example: Example) -> dict[str, Detector]:
    """What there is to ask for this classifier, by name."""
    names = detector_methods.names(domains.get(example.classifier.domain))
    return {name: detector_methods.get(name)(example.classifier) for name in names}


def clean_scores(recipe: Recipe, example: Example, detector: Detector) -> tuple[np.ndarray, str] | None:
    """The detector's scores of clean images that have no part in anything else, and where they come from."""
    domain = domains.get(recipe.domain)
    if not domain.splits():
        items = domain.gallery()
        batch = torch.cat(
            [
                images.to_tensor(
                    images.fit(
                        domain.gallery_pixels(i.name), example.classifier.size, example.classifier.channels, "crop"
                    )
                )
                for i in items
            ]
        )
        words = f"the {plural(len(items), 'image')} of the gallery"
    else:
        split = "train" if "train" in domain.splits() else domain.splits()[0]
        count = min(N_CALIBRATION, domain.count(split))
        batch, _ = domain.sample(count, split=split, seed=recipe.seed + 1)
        words = f"{count} clean images of {split!r}"

    def work(on_progress: OnProgress) -> np.ndarray | None:
        parts = []
        for start in range(0, len(batch), 10):
            if on_progress(Progress(f"{detector.title} on clean images", start, len(batch))):
                return None
            with torch.no_grad():
                parts.append(detector.score(batch[start : start + 10]).float().cpu().numpy())
        return np.concatenate(parts)

    scores = progress.run_cached(
        result_keys.clean_scores(recipe, detector.title), f"{detector.title} on clean images", work
    )
    return None if scores is None else (scores, words)


@torch.no_grad()
def evidence(
    detector: Detector, example: Example, attack_outcome: AttackOutcome, threshold: float
) -> tuple[list[Row], dict[str, list[Tile]]]:
    """What the detector makes of the clean and of the attacked image, and what it goes by."""
    rows: list[Row] = []
    lines: dict[str, list[Tile]] = {}
    classes = example.classifier.classes
    for name, pixels in (("clean", example.clean), ("adversarial", attack_outcome.adversarial)):
        image = images.to_tensor(pixels).to(example.classifier.device)
        score = float(detector.score(image))
        seen = classes[int(example.classifier(image).argmax())]
        words = score_words(score, threshold)
        entry: Row = {
            "": name,
            "classifier sees": seen,
            "score": words[0],
            "threshold": words[1],
            "verdict": "flagged" if score > threshold else "passes",
        }
        tone: Role = "clean" if name == "clean" else "adversarial"
        title = name if name == "clean" else attacked_title(attack_outcome)
        tiles = [Tile(pixels, title, f"sees {seen}", tone, file_name=f"{name}.png")]
        if isinstance(detector, MaskDisagreement):
            mask = detector.attention.mask(image)
            read = classes[int(detector.corrected_label(image))]
            entry["mask reads"] = read
            tiles.append(
                Tile(
                    levels(mask[0].mean(0).cpu().numpy()),
                    f"{name}, mask",
                    f"reads {read}",
                    tone,
                    file_name=f"mask_{name}.png",
                    palette=CIVIDIS,
                )
            )
        elif isinstance(detector, FeatureSqueezing):
            for squeezer, distance in zip(detector.squeezers, detector.distances(image)[:, 0], strict=True):
                entry[squeezer.title] = f"{float(distance):.2f}"
                squeezed = images.to_pixels(squeezer(image))[0]
                tiles.append(
                    Tile(
                        squeezed,
                        squeezer.title,
                        f"the prediction moved by {float(distance):.2f}",
                        tone,
                        file_name=f"squeezed_{name}.png",
                    )
                )
        rows.append(entry)
        lines[name] = tiles
    return rows, lines
