"""Several images of the gallery, each one clean, attacked, and behind every defense of a recipe (figure 3 of Hao et al. 2019)."""

from __future__ import annotations

from core import domains
from core.domains.image_ref import ImageRef
from core.models.classifier import Classifier
from core.progress import OnProgress, Progress
from core.recipe.outcome import Outcome
from core.recipe.recipe import Recipe
from core.recipe.running import run
from core.systems.system import Loader

MAX_IMAGES = 10


def defense_grid(
    recipe: Recipe,
    n_images: int,
    *,
    device: str | None = None,
    classifier: Classifier | None = None,
    classifiers: Loader | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Outcome, ...] | None:
    """The recipe on the first images of its domain's gallery that have a class, by an attacker who does not know the defenses.

    Args:
        n_images: at most `MAX_IMAGES`; fewer where the gallery has fewer.
        device, classifier, classifiers: as in `run`.

    Returns:
        An outcome for each image; None where `on_progress` stopped it.

    Raises:
        InvalidInput: something in the recipe is not to be had.
    """
    items = [item for item in domains.get(recipe.domain).gallery() if item.label is not None][
        : min(n_images, MAX_IMAGES)
    ]
    outcomes: list[Outcome] = []
    for number, item in enumerate(items):

        def stopped(step: Progress | None = None) -> bool:
            shown = Progress(f"image {number + 1} of {len(items)}", number, len(items))  # noqa: B023
            return on_progress is not None and bool(on_progress(shown))

        if stopped():
            return None
        variant = recipe.replace(image=ImageRef(name=item.name), true_class="", attacker="grey")
        outcome = run(variant, device=device, classifier=classifier, classifiers=classifiers, on_progress=stopped)
        if outcome.attacked.stopped or len(outcome.columns) < len(recipe.defenses):
            return None
        outcomes.append(outcome)
    return tuple(outcomes)
