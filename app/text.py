"""Numbers and sentences as the screens speak them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from core import domains
from core.recipe import AttackOutcome, Outcome, Prediction, Recipe


def per_cent(share: float | None) -> str:
    """A share: whole per cent, one decimal below 1 and above 99; a dash where there is none (None, or 0 of 0, which is NaN)."""
    if share is None or not isfinite(share):
        return "–"
    value = 100 * share
    if (
        value in (0.0, 100.0) or 1 <= round(value, 1) <= 99 or value > 100.5
    ):  # noise can be more than what it is a share of
        return f"{value:.0f} %"
    return f"{min(max(value, 0.1), 99.9):.1f} %"


def budget(eps: float, unit: str = "/255") -> str:
    """A change of values in the unit of the domain: n/255, or a plain number."""
    return f"{eps * 255:.3g}/255" if unit == "/255" else f"{eps:.3g}{unit}"


def duration(seconds: float) -> str:
    """A time in the unit a person would say."""
    if seconds < 1:
        for least, digits in ((0.01, 0), (0.0001, 1)):
            if seconds >= least:
                return f"{seconds * 1000:.{digits}f} ms"
        return f"{seconds * 1e6:.0f} µs" if seconds else "0 ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def count_of(count: int, total: int) -> str:
    """A share with its count: 71 of 500 (14 %)."""
    return f"{count} of {total} ({per_cent(count / total) if total else '–'})"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_UNCOUNTABLE = ("grass", "gravel", "tissue")  # classes that take no article


def a(name: str) -> str:
    """The name with its indefinite article: a cat, an owl, an 8; in quotes where an article would be wrong: "coins"."""
    plural = name.endswith("s") and not name.endswith(("ss", "us", "is"))
    if plural or name in _UNCOUNTABLE:
        return f'"{name}"'
    return f"{'an' if name[:1].lower() in 'aeiou8' or name in ('11', '18') else 'a'} {name}"


def joined(names: Sequence[str]) -> str:
    """The names as a list: one; one and two; one, two and three."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def named(classes: Sequence[str], label: int, known: bool) -> str:
    """The true class for a sentence, without its article; where it is not known, the prediction of the clean image."""
    return classes[label] if known else f"clean prediction ({a(classes[label])})"


def before_words(before: Prediction, classes: Sequence[str], label: int, known: bool) -> str:
    """What the classifier saw in the clean image before the attack, as a sentence."""
    saw, share = classes[before.label], per_cent(before.confidence)
    if not known:
        return f"The classifier saw {a(saw)} ({share})."
    if before.label == label:
        return f"It was {a(saw)} ({share})."
    return f"The classifier was wrong before any attack: it took this {classes[label]} for {a(saw)} ({share})."


def stopped_after(steps: int) -> str:
    return f"stopped after {plural(steps, 'step')}"


def stop_note(attacked: AttackOutcome) -> str:
    """What comes before a headline about an attack that was stopped, with a space behind; nothing for one that ran to its end."""
    return f"The attack was {stopped_after(attacked.iterations)}. " if attacked.stopped else ""


def attacked_title(attacked: AttackOutcome, title: str = "adversarial") -> str:
    """The title of an attacked image; it says where the attack was stopped."""
    return f"{title} (stopped)" if attacked.stopped else title


def start_verdict(before: Prediction, classes: tuple[str, ...], label: int | None) -> str:
    """What the classifier sees in the clean image, whose true class is `label`, None where it is unknown."""
    sees = f"The classifier sees {a(classes[before.label])} ({per_cent(before.confidence)})"
    if label is None:
        return f"{sees}. The true class of this image is unknown."
    return f"{sees}." if before.label == label else f"{sees}, but it is {a(classes[label])}."


def attack_verdict(outcome: Outcome) -> str:
    """What the classifier saw before the attack, and what the attack did, in one sentence or two."""
    if outcome.attacked.known:
        told = _attack_verdict(outcome)
        return f"{told} Here the classifier stands behind {outcome.attacked.known}, and the attacker knows it."
    return _attack_verdict(outcome)


def _attack_verdict(outcome: Outcome) -> str:
    attacked = outcome.attacked
    sees = f"{a(outcome.classes[attacked.prediction.label])} ({per_cent(attacked.prediction.confidence)})"
    before = before_words(outcome.clean_prediction, outcome.classes, outcome.label, outcome.label_known)
    wrong = outcome.label_known and outcome.clean_prediction.label != outcome.label
    if attacked.lost_to_quantization:
        fooled = f"It fooled the classifier until the image was rounded to 8 bits; the saved file is seen as {sees}."
        return f"{before} {fooled}" if wrong else fooled
    if attacked.success:
        return f"{before} {_success(outcome, sees)}"
    failure = _failure(outcome, sees)
    return f"{before} {failure}" if wrong else failure


def _success(outcome: Outcome, sees: str) -> str:
    """When the classifier was fooled first, and what it sees in the end."""
    attacked = outcome.attacked
    if has_target(outcome):
        sees += ", the target"
    first = attacked.steps_to_success
    fooled = f"The classifier was fooled after {plural(first, 'step')}. "
    if first == attacked.iterations and first and not attacked.stopped:
        fooled = ""
    elif first == 0 and starts_clean(outcome):  # fooled by the clean image: wrong before, or the target already
        if not attacked.norms.l0:
            return "The attack had nothing to do."
        fooled = ""
    elif first == 0:
        fooled = "The classifier was fooled at the random start, before the first step. "
    ran = f"{'Stopped after' if attacked.stopped else 'After'} {plural(attacked.iterations, 'step')}"
    return f"{fooled}{ran}, {change(outcome)}, the classifier sees {sees}.{_aimed(outcome)}"


def has_target(outcome: Outcome) -> bool:
    """Whether the attack has to reach one class: the recipe names it, or the attack is universal and cannot do without."""
    return bool(outcome.recipe.target) or outcome.recipe.build_attack().universal


def _aimed(outcome: Outcome) -> str:
    """Which class an untargeted attack pushed the image toward, where the classifier came to see another one."""
    aim = outcome.attacked.target
    if aim is None or has_target(outcome) or aim == outcome.attacked.prediction.label:
        return ""
    return f" It aimed at {a(outcome.classes[aim])}."


def rival_of(outcome: Outcome) -> str:
    """The class whose confidence the trace follows beside the true one."""
    aim = outcome.attacked.target
    if aim is None:
        return "the likeliest other class"
    return outcome.classes[aim] if has_target(outcome) else f"{outcome.classes[aim]} (aimed at)"


def starts_clean(outcome: Outcome) -> bool:
    """Whether the attack began at the clean image itself, not at a random point near it."""
    trace = outcome.attacked.trace
    return not trace.snapshots or trace.snapshot_steps[0] != 0 or np.array_equal(trace.snapshots[0], outcome.clean)


def _failure(outcome: Outcome, sees: str) -> str:
    attacked, label = outcome.attacked, outcome.attacked.prediction.label
    if label != outcome.label:
        prediction_words = f"it is seen as {sees}, not {_goal_words(outcome)}"
    elif not outcome.label_known:
        prediction_words = f"the classifier still sees {sees}"
    else:
        prediction_words = (
            f"it is still {sees}"
            if outcome.clean_prediction.label == label
            else f"it is seen as {sees}, its true class"
        )
    if attacked.stopped:
        return f"Stopped after {plural(attacked.iterations, 'step')}: {prediction_words}."
    were = "was" if attacked.iterations == 1 else "were"
    return f"{plural(attacked.iterations, 'step')} {were} not enough: {prediction_words}. Try {advice(outcome)}."


def change(outcome: Outcome) -> str:
    """How much of the image was changed, as a phrase."""
    norms, pixels = outcome.attacked.norms, outcome.clean.shape[0] * outcome.clean.shape[1]
    if norms.l0 < 0.3 * pixels:
        return f"changing {per_cent(norms.l0 / pixels)} of the image"
    return f"changing no pixel by more than {budget(norms.linf, domains.get(outcome.domain).linf.unit)}"


def advice(outcome: Outcome) -> str:
    """What to try where the attack failed."""
    return advice_for(outcome.recipe)


def advice_for(recipe: Recipe) -> str:
    """What to try where the recipe's attack failed; nothing that stands at its control's end already."""
    attack = recipe.build_attack()
    values = attack.values()
    parameters = domains.get(recipe.domain).attack_parameters(type(attack), values)
    ends = {p.name: p.high if p.slider_max is None else p.slider_max for p in parameters}
    words = (
        ("steps", "more steps"),
        ("queries", "more queries"),
        ("trials", "more trials"),
        ("binary_search_steps", "more searches"),
        ("eps", "a larger eps"),
        ("sigma", "a larger sigma"),
        ("area", "a larger patch"),
    )
    more = [word for name, word in words if name in ends and values[name] < (ends[name] or 0) * (1 - 1e-6)]
    return ", ".join(more[:-1]) + (" or " if more[1:] else "") + more[-1] if more else "another attack"


def _goal_words(outcome: Outcome) -> str:
    target = outcome.attacked.target
    return a(outcome.classes[target]) if target is not None and has_target(outcome) else "anything else"


def mark(right: bool) -> str:
    return "✓" if right else "✗"


def prediction(verdict: Prediction, classes: tuple[str, ...], label: int | None) -> str:
    """A prediction with its mark: ✓ cat 97 %; without a mark where the true class `label` is unknown (None)."""
    return f"{right_or_wrong(verdict.label, label)}{classes[verdict.label]} {per_cent(verdict.confidence)}"


def right_or_wrong(predicted: int, label: int | None) -> str:
    """The mark before a predicted class, with a space; nothing where the true class is unknown."""
    return "" if label is None else f"{mark(predicted == label)} "
