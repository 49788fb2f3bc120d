"""Several attacks on one image at the same budget, and one attack on classifiers that it was not made on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from core import attacks, domains, images
from core.diagnostics import AttackSummary, Diagnostic, run_diagnostics
from core.models.classifier import Classifier
from core.progress import OnProgress
from core.recipe.example import Example, Pixels, predict
from core.recipe.outcome import AttackOutcome, Outcome, Prediction
from core.recipe.recipe import Recipe, with_budget
from core.recipe.running import craft


@dataclass(frozen=True)
class ComparisonRow:
    """One attack of a comparison and what it did."""

    name: str
    attack: attacks.Attack
    attacked: AttackOutcome

    @property
    def summary(self) -> AttackSummary:
        """What the diagnostics read of it: one image."""
        return AttackSummary(self.attack, int(self.attacked.success), 1, int(self.attacked.lost_to_quantization))


@dataclass(frozen=True)
class Comparison:
    """What a comparison found: an entry an attack.

    Attributes:
        target: the class that all attacks were to reach; None where any other class would do.
        missing: the attacks that never began, because the comparison was stopped.
    """

    entries: tuple[ComparisonRow, ...]
    target: int | None = None
    missing: tuple[str, ...] = ()

    def flags(self) -> tuple[Diagnostic, ...]:
        """The warnings that these outcomes raise; an attack that was stopped shows nothing of its strength."""
        whole = [entry for entry in self.entries if not entry.attacked.stopped]
        slopes = [entry.attacked.gradient for entry in self.entries if entry.attacked.gradient is not None]
        return run_diagnostics([entry.summary for entry in whole], slopes[0] if slopes else None)


def diagnose(outcome: Outcome) -> tuple[Diagnostic, ...]:
    """The warnings that the outcome's attack raises, and each adaptive attack on a defense that was tried, once each."""
    attack = outcome.recipe.build_attack()
    flags: dict[str, Diagnostic] = {}
    attack_outcomes = [
        outcome.attacked,
        *(c.adaptive.attack for c in outcome.columns if c.adaptive and c.adaptive.attack),
    ]
    for attacked in attack_outcomes:
        summary = AttackSummary(attack, int(attacked.success), 1, int(attacked.lost_to_quantization))
        for flag in run_diagnostics([] if attacked.stopped else [summary], attacked.gradient):
            flags.setdefault(flag.name, flag)
    return tuple(flags.values())


def compare_attacks(recipe: Recipe, example: Example, *, on_progress: OnProgress | None = None) -> Comparison:
    """Every attack of the recipe's comparison on the example, through the column that the attacker knows; stopped, those that are done."""
    entries: list[ComparisonRow] = []
    system = recipe.build_known_system()
    for name in recipe.comparison.attacks:
        variant = recipe.replace(attack=with_budget(recipe.comparison, name, recipe.comparison_eps))
        attacked = craft(variant, example, system=system, backward=recipe.backward, on_progress=on_progress)
        entries.append(ComparisonRow(name, variant.build_attack(), attacked))
        if attacked.stopped:
            break
    target = domains.get(recipe.domain).class_number(recipe.target) if recipe.target else None
    return Comparison(tuple(entries), target, recipe.comparison.attacks[len(entries) :])


@dataclass(frozen=True)
class TransferMatrix:
    """One attack crafted on each of some classifiers and shown to all of them (black-box transfer).

    `predictions[i][j]` is what classifier j says of the image crafted on classifier i, as an 8-bit file.
    """

    names: tuple[str, ...]
    label: int | None
    predictions: tuple[tuple[Prediction, ...], ...]


def transfer(
    recipe: Recipe, examples_by_name: Mapping[str, Callable[[], Example]], *, on_progress: OnProgress | None = None
) -> TransferMatrix:
    """The recipe's attack crafted on the classifier of every example and tried on all others.

    Args:
        examples_by_name: the same image in front of each classifier, by the classifier's name; made when its turn comes.
    """
    examples = {name: make() for name, make in examples_by_name.items()}
    first = next(iter(examples.values()))
    rows = []
    for example in examples.values():
        # Toward a target, the first classifier's word counts where the true class is unknown; else each one's own prediction.
        attacked = craft(
            recipe, replace(example, label=first.label) if recipe.target else example, on_progress=on_progress
        )
        if attacked.stopped:
            break
        rows.append(tuple(_shown(other, attacked.adversarial) for other in examples.values()))
    return TransferMatrix(tuple(examples), first.known_label, tuple(rows))


def _shown(example: Example, pixels: Pixels) -> Prediction:
    return predict_pixels(example.classifier, pixels, example.label)


@torch.no_grad()
def predict_pixels(classifier: Classifier, pixels: Pixels, label: int) -> Prediction:
    """What a classifier predicts for an image H×W×C, which need not have its size; `label` is the true class."""
    fitted = images.fit(pixels, classifier.size, classifier.channels, "stretch")
    return predict(classifier, images.to_tensor(fitted), label)
