"""The numbers on a denoiser's card: accuracy under attacks that do not know it, and under those that do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core import domains
from core.defenses import REGISTRY, LearnedDefense
from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.inputs import BadInput
from core.models import artifacts
from core.models.artifacts import Artifact, Metric
from core.progress import OnProgress
from core.recipe.columns import Method
from core.reproduce.base import Settings
from core.reproduce.plan_table import measured_plan

N_IMAGES, N_MINIMAL = (
    1000,
    200,
)  # test images; of attacks that look for the smallest change, which take a hundred times as long


def attacks_for(domain: str, against: str) -> dict[str, Method]:
    """The attacks of a card by their names there; Sivamani's small CNN is attacked as in that paper, PGD with 100 steps at 0.2."""
    small = against == "cnn"
    eps = 0.2 if small else domains.get(domain).linf.eps
    steps, step_size = (100, 0.1) if small else (20, eps / 4)
    pgd = Method(name="pgd", params={"eps": eps, "iterations": steps, "step_size": step_size})
    return {
        "FGSM": Method(name="fgsm", params={"eps": eps}),
        f"PGD-{steps}": pgd,
        "APGD-20": Method(name="apgd_ce", params={"eps": eps, "iterations": 20}),
        "C&W": Method(name="cw"),
    }


def measure_card(
    artifact: Artifact, n_images: int | None = None, seed: int = 0, on_progress: OnProgress | None = None
) -> Artifact | None:
    """Measure a denoiser before the classifier that it was trained against, and write the numbers on its card.

    Args:
        n_images: test images; a fifth of them for C&W.

    Returns:
        The artifact with the new card; None where `on_progress` stopped it. What was measured until then is kept.

    Raises:
        BadInput: it is no denoiser, nothing can use it, or the data are not on this machine.
    """
    card = artifact.card
    if card.kind != "denoiser" or not card.trained_against:
        raise BadInput(f"{artifact.name} is no denoiser that was trained against a classifier.")
    defense = _defense_of(artifact)
    count = N_IMAGES if n_images is None else n_images
    methods = attacks_for(card.domain, card.trained_against)
    metrics: list[Metric] = []
    for names, images in (
        ([name for name in methods if name != "C&W"], count),
        (["C&W"], max(1, count * N_MINIMAL // N_IMAGES)),
    ):
        plan = Plan(
            domain=card.domain,
            classifiers=(card.trained_against,),
            n_images=images,
            seed=seed,
            attacks=tuple(methods[name] for name in names),
            defenses=((defense,),),
            attacker="both",
            backward="true",
            save_images=0,
        )
        with measured_plan(plan, replace(Settings(), seed=seed), on_progress) as measured:
            if measured is None:
                return None
            metrics += _metrics(measured, dict(enumerate(names)))
    first = [metric for metric in card.metrics if metric.what.startswith("clean ")]
    return artifacts.write_card(artifact, metrics=tuple(metric.model_dump() for metric in (*first, *metrics)))


def _metrics(metrics: Metrics, names: Mapping[int, str]) -> list[Metric]:
    """Bare, grey box and adaptive accuracy under each attack."""
    found = []
    for number, name in names.items():
        for words, defense, attacker in (
            (f"{name}, no defense", NO_DEFENSE, "none"),
            (f"{name}, grey box", 0, "grey"),
            (f"{name}, adaptive", 0, "adaptive"),
        ):
            share = _accuracy(metrics, number, defense, attacker)
            found.append(Metric(what=words, value=share.value, correct=share.successes, count=share.count))
    return found


def _accuracy(metrics: Metrics, attack: int, defense: int, attacker: Any) -> Proportion:
    share = metrics.proportion(CellKey(0, attack, defense, "none" if attack == NO_ATTACK else attacker))
    assert share is not None
    return share


def _defense_of(artifact: Artifact) -> Method:
    """The defense that uses the artifact, as a recipe has it."""
    for name, method in REGISTRY.classes.items():
        if issubclass(method, LearnedDefense):
            for weights, other in method.available().items():
                if other.name == artifact.name:
                    return Method(name=name, params={"weights": weights})
    raise BadInput(
        f"No defense uses {artifact.name}; its name must begin with that of a learned defense, such as hgd_."
    )
