"""Running a recipe, whole or in the stages that a screen reuses."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core import attacks, defenses, domains, images
from core.cancellation import Cancelled
from core.diagnostics import GradientStats, gradient_stats
from core.inputs import check_logits
from core.models.classifier import Classifier
from core.models.query_counter import QueryCounter, QueryCounts
from core.progress import OnProgress, Progress
from core.recipe.columns import methods_of
from core.recipe.engine import attacked_classifier, craft_batch, judge_batch
from core.recipe.example import Example, Pixels, check_target, load_example, predict, prediction_of
from core.recipe.norms import norms
from core.recipe.outcome import (
    AttackOutcome,
    DefendedPrediction,
    DefenseOutcome,
    MemberVote,
    Outcome,
)
from core.recipe.recipe import Recipe
from core.recipe.recording import MAX_SNAPSHOTS, AttackRecorder
from core.recipe.universal import Universal, shown_on, train_universal
from core.systems import Backward, System
from core.systems.system import Loader


def craft(
    recipe: Recipe,
    example: Example,
    *,
    system: System | None = None,
    backward: Backward = "average",
    on_progress: OnProgress | None = None,
) -> AttackOutcome:
    """The recipe's attack on the example; with `system`, by an attacker who knows it and differentiates as `backward` says."""
    attack = recipe.build_attack()
    if system is not None and backward == "average" and not system.is_randomized():
        backward = "best"  # the same, by its name
    attacked = attacked_classifier(system, example.load, backward, seed=recipe.seed)
    with torch.no_grad():
        before = None if system is None else predict(attacked, example.images, example.label)
    counts = QueryCounts()
    counted = QueryCounter(attacked, counts)
    target = domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None
    if (
        target is None and attack.universal
    ):  # a universal attack has one target; the likeliest other class unless one is chosen
        target = next(n for n, _ in example.clean_prediction.top if n != example.label)
    if target is not None:
        check_target(example, target)
    recorder = AttackRecorder(example.label, f"{attack.title}" + (f" on {system.title}" if system else ""), on_progress)
    universal = _train_universal(recipe, example, attack, counted, target, recorder) if attack.universal else None
    crafted = craft_batch(
        attack,
        counted,
        example.images,
        example.labels,
        target,
        seed=recipe.seed,
        universal=universal,
        on_progress=recorder,
    )
    result = crafted.result
    assert result is not None, "the target is not the image's own class"
    check_logits(result.logits[:1])
    adversarial = images.to_pixels(result.images)[0]
    probabilities = result.logits[0].float().softmax(0).cpu()
    success = bool(result.success[0])
    return AttackOutcome(
        method=recipe.attack_description(),
        adversarial=adversarial,
        prediction=prediction_of(probabilities, example.label),
        success=success,
        steps_to_success=int(result.steps[0]) if universal is None else recorder.first_success(success),
        iterations=result.iterations,
        seconds=result.seconds,
        stopped=result.stopped,
        target=target if target is not None else int(result.targets[0]) if result.targets is not None else None,
        norms=norms(example.clean, adversarial),
        lost_to_quantization=recorder.fooled and not success,
        gradients=counts.gradients,
        queries=counts.queries,
        known="" if system is None else system.describe(),
        backward="none" if system is None else backward,
        clean_prediction=before,
        gradient=_gradient_stats(attacked, example) if attack.threat == "white_box" else None,
        trace=recorder.trace(),
        flow=result.extras["flow"][0].cpu().numpy() if "flow" in result.extras else None,
        patch=_render_patch(result.extras),
        mask=None if result.mask is None else images.to_pixels(result.mask.float())[0],
        universal_success=None if universal is None else universal.fooled,
    )


def _train_universal(
    recipe: Recipe,
    example: Example,
    attack: attacks.Attack,
    classifier: Classifier,
    target: int | None,
    recorder: AttackRecorder,
) -> Universal:
    """The training of the recipe's universal attack, recorded as it looks on the example's image."""
    assert isinstance(attack, attacks.UniversalPatch) and target is not None

    def recorded(progress: Progress) -> bool | None:
        step = progress.step
        assert step is not None, "an attack reports its steps"
        if step.number % max(1, step.total // MAX_SNAPSHOTS) and step.number != step.total:
            return recorder.report(progress)
        shown = shown_on(step, attack, classifier, example.images, target, seed=recipe.seed)
        return recorder(replace(progress, step=shown))

    return train_universal(
        attack, classifier, domains.get(recipe.domain), target, seed=recipe.seed, on_progress=recorded
    )


def _gradient_stats(classifier: Classifier, example: Example) -> GradientStats | None:
    """What a gradient attacker finds at the clean image; None where the work was cancelled."""
    try:
        return gradient_stats(classifier, example.images, example.labels)
    except Cancelled:
        return None


def _render_patch(extras: Mapping[str, Tensor]) -> Pixels | None:
    """The patch on white, as it comes out of a printer."""
    if "patch" not in extras:
        return None
    stencil = extras["stencil"]
    return images.to_pixels(extras["patch"] * stencil + (1 - stencil))


def evaluate_defenses(
    recipe: Recipe, example: Example, attacked: AttackOutcome, *, on_progress: OnProgress | None = None
) -> tuple[DefenseOutcome, ...]:
    """Every defense of the recipe on the clean and on the attacked image, one column each; stopped, those that are whole."""
    columns: list[DefenseOutcome] = []
    systems = recipe.build_systems()
    with suppress(Cancelled):
        for index, system in enumerate(systems):
            if on_progress is not None and on_progress(Progress(system.describe(), index, len(systems))):
                break
            column = _column(recipe, example, attacked, system, on_progress)
            if column.adaptive and column.adaptive.attack and column.adaptive.attack.stopped:
                break  # half an attack says nothing of a defense
            columns.append(column)
    return tuple(columns)


def run(
    recipe: Recipe,
    *,
    device: str | None = None,
    classifier: Classifier | None = None,
    classifiers: Loader | None = None,
    uploads: Mapping[str, Pixels] | None = None,
    on_progress: OnProgress | None = None,
) -> Outcome:
    """Run a whole recipe; the same recipe on the same device gives the same images and numbers.

    Raises:
        InvalidInput: something in the recipe is not to be had; the sentence says what to do.
    """
    example = load_example(recipe, device=device, classifier=classifier, classifiers=classifiers, uploads=uploads)
    attacked = craft(recipe, example, on_progress=on_progress)
    columns = () if attacked.stopped else evaluate_defenses(recipe, example, attacked, on_progress=on_progress)
    return make_outcome(recipe, example, attacked, columns)


def make_outcome(
    recipe: Recipe, example: Example, attacked: AttackOutcome, columns: tuple[DefenseOutcome, ...]
) -> Outcome:
    """The stages of one recipe put together."""
    return Outcome(
        recipe=recipe,
        domain=recipe.domain,
        classifier=example.classifier.name,
        classes=example.classifier.classes,
        device=str(example.classifier.device),
        versions=f"torch {torch.__version__}, Python {platform.python_version()}",
        label=example.label,
        label_known=example.label_known,
        clean=example.clean,
        clean_prediction=attacked.clean_prediction or example.clean_prediction,
        attacked=attacked,
        columns=columns,
    )


@dataclass(frozen=True)
class SweepPoint:
    """One value of a swept parameter and what the defense does there."""

    value: float | str | bool
    clean: DefendedPrediction
    attacked: DefendedPrediction


def sweep(
    recipe: Recipe,
    example: Example,
    attacked: AttackOutcome,
    method: str,
    parameter: str,
    values: tuple[object, ...],
    *,
    on_progress: OnProgress | None = None,
) -> tuple[SweepPoint, ...] | None:
    """One defense, alone before the example's classifier, at several values of one parameter, on the clean and on the attacked image.

    The attacker does not know the defense (grey box). The recipe's columns give its other parameters; neither their chains nor their
    votes take part.

    None where `on_progress` stopped it.

    Raises:
        InvalidInput: no such defense or parameter, or a value out of range.
    """
    points = []
    params = next((m.params for m in methods_of(recipe.defenses) if m.name == method), {})
    for number, value in enumerate(values):
        defense = defenses.build_for(domains.get(recipe.domain), method, {**params, parameter: value})
        if on_progress is not None and on_progress(Progress(f"{defense.title} over {parameter}", number, len(values))):
            return None
        system = System.of(defense)
        clean, _ = _guard(recipe, example, system, example.images)
        guard, _ = _guard(recipe, example, system, images.to_tensor(attacked.adversarial))
        points.append(SweepPoint(value, clean, guard))  # type: ignore[arg-type]
    return tuple(points)


def _column(
    recipe: Recipe, example: Example, attacked: AttackOutcome, system: System, on_progress: OnProgress | None
) -> DefenseOutcome:
    clean, _ = _guard(recipe, example, system, example.images)  # the first pass, which pays for threads and memory
    grey = adaptive = None
    if recipe.attacker in ("grey", "both"):
        grey, seconds = _guard(recipe, example, system, images.to_tensor(attacked.adversarial))
    if recipe.attacker in ("adaptive", "both"):
        again = craft(recipe, example, system=system, backward=recipe.backward, on_progress=on_progress)
        guard, seconds = _guard(recipe, example, system, images.to_tensor(again.adversarial))
        adaptive = guard.model_copy(update={"attack": again, "backward": again.backward})
    return DefenseOutcome(
        defense=system.describe(), short_title=system.title, clean=clean, grey=grey, adaptive=adaptive, seconds=seconds
    )


def _guard(recipe: Recipe, example: Example, system: System, batch: Tensor) -> tuple[DefendedPrediction, float]:
    """What the system makes of a batch of one, and the seconds that its defenses took."""
    judged = judge_batch(system, example.load, batch.to(example.classifier.device), seed=recipe.seed)
    prediction = prediction_of(judged.logits[0].float().softmax(0).cpu(), example.label)
    guard = DefendedPrediction(
        defended=images.to_pixels(judged.defended)[0],
        prediction=prediction,
        recovered=prediction.label == example.label,
        votes=_votes(system, judged.members, prediction.label, example.label),
    )
    return guard, judged.seconds


def _votes(system: System, logits: tuple[Tensor, ...], winner: int, label: int) -> tuple[MemberVote, ...]:
    """What each member says of one image, from its logits 1×K; nothing where a single member decides."""
    if len(logits) == 1:
        return ()
    scores = torch.stack([each[0].float().softmax(0).cpu() for each in logits])
    shares = scores[:, winner] / scores[:, winner].sum()
    return tuple(
        MemberVote(member=member.short_title(votes=True), prediction=prediction_of(score, label), share=float(share))
        for member, score, share in zip(system.members, scores, shares, strict=True)
    )
