"""The numbers on a card: a classifier's accuracy under attack; a denoiser's under attacks that do not know it, and that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core import domains
from core.defenses import REGISTRY, LearnedDefense
from core.evaluate.metrics import CellKey, Metrics
from core.evaluate.plan import NO_ATTACK, NO_DEFENSE, Plan
from core.evaluate.proportion import Proportion
from core.inputs import InvalidInput
from core.models import artifacts
from core.models.artifacts import Artifact
from core.models.card_metrics import WORST_CASE
from core.models.cards import Metric
from core.progress import OnProgress
from core.recipe.columns import Columns, Method
from core.recipe.recipe import Attacker
from core.reproduce.base import Settings
from core.reproduce.plan_table import measured_plan

N_IMAGES, N_MINIMAL = (
    1000,
    200,
)  # test images; of attacks that look for the smallest change, which take a hundred times as long
_FIRST = ("right on the test images", "clean test images, right behind it", "clean test images, right without it")


def batch_for(domain: str, n_images: int) -> int:
    """How many images an evaluation attacks together; small ones are many, which a GPU needs."""
    return min(n_images, 250 if domains.get(domain).size <= 32 else 50)


def attacks_for(domain: str, against: str) -> dict[str, Method]:
    """The attacks of a card by their names there; Sivamani's small CNN is attacked as in that paper, PGD with 100 steps at 0.2."""
    small = against.startswith("cnn")
    eps = 0.2 if small else domains.get(domain).linf.eps
    steps, step_size = (100, 0.1) if small else (20, eps / 4)
    pgd = Method(name="pgd", params={"eps": eps, "iterations": steps, "step_size": step_size})
    return {
        "FGSM": Method(name="fgsm", params={"eps": eps}),
        f"PGD-{steps}": pgd,
        "APGD-20": Method(name="apgd_ce", params={"eps": eps, "iterations": 20}),
        "C&W": Method(name="cw"),
    }


def worst_case(domain: str, classifier: str) -> Method:
    """The strongest attack of a classifier's card: APGD-CE and APGD-T with 50 steps each, then 500 queries of Square."""
    eps = attacks_for(domain, classifier)["FGSM"].params["eps"]
    return Method(name="worst_case", params={"eps": eps, "iterations": 50, "queries": 500})


def measure_card(
    artifact: Artifact,
    n_images: int | None = None,
    n_adaptive: int | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Artifact | None:
    """Measure a classifier, or a denoiser before the classifier that it was trained against, and write the numbers on its card.

    Args:
        n_images: test images. n_adaptive: those of the attacker who knows the denoiser; as many without it. Both a fifth for C&W.

    Returns:
        The artifact with the new card; None where `on_progress` stopped it. What was measured until then is kept.

    Raises:
        InvalidInput: it is neither, nothing can use it, or the data are not on this machine.
    """
    card = artifact.card
    if card.kind == "classifier":
        classifier = artifact.name.removeprefix(f"{card.domain}_")
        # The worst case is stronger than APGD alone, and C&W has no bound and reaches every image.
        methods = {k: v for k, v in attacks_for(card.domain, classifier).items() if k not in ("APGD-20", "C&W")}
        methods[WORST_CASE] = worst_case(card.domain, classifier)
        parts: tuple[tuple[Columns, Attacker], ...] = (((), "grey"),)
    elif card.kind == "denoiser" and card.trained_against:
        classifier, methods = card.trained_against, attacks_for(card.domain, card.trained_against)
        parts = (((_defense_of(artifact),),), "grey"), (((_defense_of(artifact),),), "adaptive")
    else:
        raise InvalidInput(f"{artifact.name} is neither a classifier nor a denoiser that was trained against one.")
    there = domains.get(card.domain).count("test")
    count = min(N_IMAGES if n_images is None else n_images, there)
    counts = {"grey": count, "adaptive": min(count if n_adaptive is None else n_adaptive, there)}
    shares: dict[str, Metric] = {}
    for columns, attacker in parts:
        for minimal in (False, True):
            names = [name for name in methods if (name == "C&W") == minimal]
            if not names:
                continue
            images = max(1, counts[attacker] * N_MINIMAL // N_IMAGES) if minimal else counts[attacker]
            plan = Plan(
                domain=card.domain,
                classifiers=(classifier,),
                n_images=images,
                seed=seed,
                attacks=tuple(methods[name] for name in names),
                defenses=columns,
                attacker=attacker,
                backward="true" if columns else "average",
                batch=batch_for(card.domain, images),
                save_images=0,
            )
            with measured_plan(plan, replace(Settings(), seed=seed), on_progress, anew=True) as measured:
                if measured is None:
                    return None
                shares.update(_metrics(measured, names))
    order = [
        word
        for name in methods
        for word in (name, *(f"{name}, {who}" for who in ("no defense", "grey box", "adaptive")))
    ]
    first = [metric for metric in card.metrics if metric.what in _FIRST]
    metrics = (*first, *(shares[word] for word in order if word in shares))
    return artifacts.write_card(artifact, metrics=tuple(metric.model_dump(exclude_none=True) for metric in metrics))


def _metrics(metrics: Metrics, names: Sequence[str]) -> dict[str, Metric]:
    """The accuracy under each attack; of a denoiser without it and in the grey box, or under the adaptive attack."""
    plan = metrics.plan
    measured = {}
    for number, name in enumerate(names):
        if not plan.defenses:
            asked: tuple[tuple[str, int, Any], ...] = ((name, NO_DEFENSE, "none"),)
        elif plan.attacker == "grey":
            asked = ((f"{name}, no defense", NO_DEFENSE, "none"), (f"{name}, grey box", 0, "grey"))
        else:
            asked = ((f"{name}, adaptive", 0, "adaptive"),)
        for words, defense, attacker in asked:
            share = _accuracy(metrics, number, defense, attacker)
            measured[words] = Metric(
                what=words,
                value=share.value,
                correct=share.successes,
                count=share.count,
                eps=plan.attacks[number].params.get("eps"),
            )
    return measured


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
    raise InvalidInput(
        f"No defense uses {artifact.name}; its name must begin with that of a learned defense, such as hgd_."
    )
