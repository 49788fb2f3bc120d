"""Numbers and sentences as the screens speak them."""

from __future__ import annotations

import numpy as np

from core import domains
from core.evaluate.trial import Trial
from core.recipe import Column, Explained, Matrix, Outcome, Recipe, Results, Verdict

_UNNAMED = "the class that the classifier gave it"


def per_cent(share: float) -> str:
    """A confidence: whole per cent, one decimal below 1 and above 99."""
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
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def count_of(count: int, total: int) -> str:
    """A share with its count: 71 of 500 (14 %)."""
    return f"{count} of {total} ({per_cent(count / total) if total else '–'})"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def a(name: str) -> str:
    """The name with its indefinite article."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def start_verdict(before: Verdict, classes: tuple[str, ...], label: int | None) -> str:
    """What the classifier sees in the clean image, whose true class is `label`, None where it is unknown."""
    sees = f"The classifier sees {a(classes[before.label])} ({per_cent(before.confidence)})"
    if label is None:
        return f"{sees}. The true class of this image is unknown."
    return f"{sees}." if before.label == label else f"{sees}, but it is {a(classes[label])}."


def attack_verdict(outcome: Outcome) -> str:
    """What the classifier saw before the attack, and what the attack did, in one sentence or two."""
    attacked = outcome.attacked
    sees = f"{a(outcome.classes[attacked.verdict.label])} ({per_cent(attacked.verdict.confidence)})"
    before = _before(outcome)
    wrong = outcome.label_known and outcome.before.label != outcome.label
    if attacked.flips_back:
        fooled = f"It fooled the classifier until the picture was rounded to 8 bits; the saved file is seen as {sees}."
        return f"{before} {fooled}" if wrong else fooled
    if attacked.success:
        return f"{before} {_success(outcome, sees)}"
    failure = _failure(outcome, sees)
    return f"{before} {failure}" if wrong else failure


def _before(outcome: Outcome) -> str:
    """What the classifier saw in the clean image."""
    saw, share = outcome.classes[outcome.before.label], per_cent(outcome.before.confidence)
    if not outcome.label_known:
        return f"The classifier saw {a(saw)} ({share})."
    if outcome.before.label == outcome.label:
        return f"It was {a(saw)} ({share})."
    return f"The classifier was wrong before any attack: it took this {outcome.classes[outcome.label]} for {a(saw)} ({share})."


def _success(outcome: Outcome, sees: str) -> str:
    """When the classifier was fooled first, and what it sees in the end."""
    attacked = outcome.attacked
    if attacked.target is not None:
        sees += ", the target"
    first = attacked.first
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
    return f"{fooled}{ran}, {change(outcome)}, the classifier sees {sees}."


def starts_clean(outcome: Outcome) -> bool:
    """Whether the attack began at the clean image itself, not at a random point near it."""
    trace = outcome.attacked.trace
    return not trace.frames or trace.frame_numbers[0] != 0 or np.array_equal(trace.frames[0], outcome.clean)


def _failure(outcome: Outcome, sees: str) -> str:
    attacked, label = outcome.attacked, outcome.attacked.verdict.label
    if label != outcome.label:
        now = f"it is seen as {sees}, not {_wanted(outcome)}"
    elif not outcome.label_known:
        now = f"the classifier still sees {sees}"
    else:
        now = f"it is still {sees}" if outcome.before.label == label else f"it is seen as {sees}, its true class"
    if attacked.stopped:
        return f"Stopped after {plural(attacked.iterations, 'step')}: {now}."
    were = "was" if attacked.iterations == 1 else "were"
    return f"{plural(attacked.iterations, 'step')} {were} not enough: {now}. Try {advice(outcome)}."


def change(outcome: Outcome) -> str:
    """How much of the picture was changed, as a phrase."""
    norms, pixels = outcome.attacked.norms, outcome.clean.shape[0] * outcome.clean.shape[1]
    if norms.l0 < 0.3 * pixels:
        return f"changing {per_cent(norms.l0 / pixels)} of the picture"
    return f"changing no pixel by more than {budget(norms.linf, domains.get(outcome.domain).linf.unit)}"


def advice(outcome: Outcome) -> str:
    """What to try where the attack failed."""
    return advice_for(outcome.recipe)


def advice_for(recipe: Recipe) -> str:
    """What to try where the recipe's attack failed; nothing that stands at its control's end already."""
    attack = recipe.built_attack()
    values = attack.values()
    parameters = domains.get(recipe.domain).attack_parameters(type(attack), values)
    ends = {p.name: p.high if p.usual is None else p.usual for p in parameters}
    words = (
        ("steps", "more steps"),
        ("queries", "more queries"),
        ("draws", "more draws"),
        ("searches", "more searches"),
        ("eps", "a larger eps"),
        ("sigma", "a larger sigma"),
        ("area", "a larger patch"),
    )
    more = [word for name, word in words if name in ends and values[name] < (ends[name] or 0) * (1 - 1e-6)]
    return ", ".join(more[:-1]) + (" or " if more[1:] else "") + more[-1] if more else "another attack"


def _wanted(outcome: Outcome) -> str:
    target = outcome.attacked.target
    return a(outcome.classes[target]) if target is not None else "anything else"


def compare_verdict(results: Results, classes: tuple[str, ...], label: int, eps: str, *, known: bool = True) -> str:
    """How many of the attacks fool the classifier within `eps`, and which one changes least."""
    name, total = classes[label], len(results.entries)
    winners = [entry for entry in results.entries if entry.attacked.success]
    if not winners:
        if any(entry.attacked.verdict.label != label for entry in results.entries):
            return f"None of {plural(total, 'attack')} reaches its target."
        return f"None of {plural(total, 'attack')} fools the classifier: it is still {a(name)}."
    least = min(winners, key=lambda entry: entry.attacked.norms.l2)
    if total == 1:
        return f"{least.attack.title} makes the classifier see {a(classes[least.attacked.verdict.label])}."
    verb = "fools" if len(winners) == 1 else "fool"
    return (
        f"{len(winners)} of {total} attacks {verb} the classifier with at most {eps} or with the smallest change they find; "
        f"{least.attack.title} changes the {name if known else 'image'} least."
    )


def table_of_attacks(
    results: Results, classes: tuple[str, ...], label: int | None, unit: str = "/255"
) -> list[dict[str, object]]:
    """One row an attack: what is seen, how far the picture was moved, and what that took."""
    rows: list[dict[str, object]] = []
    for entry in results.entries:
        done, norms = entry.attacked, entry.attacked.norms
        rows.append(
            {
                "Attack": entry.attack.title,
                "Classifier sees": prediction(done.verdict, classes, label),
                "L0": norms.l0,
                "L2": f"{norms.l2:.2f}",
                "L∞": budget(norms.linf, unit),
                "SSIM": f"{norms.ssim:.3f}",
                "Steps until fooled": f"{done.first:,}" if done.success else "–",
                "Gradients": done.gradients,
                "Queries": done.queries,
                "Time": duration(done.seconds),
            }
        )
    return rows


def table_of_transfer(found: Matrix, titles: dict[str, str], classes: tuple[str, ...]) -> list[dict[str, object]]:
    """One row a classifier that the attack was made on, one column a classifier that it was tried on."""
    return [
        {
            "Made on": titles[made],
            **{
                titles[tried]: prediction(said, classes, found.label)
                for tried, said in zip(found.names, row, strict=True)
            },
        }
        for made, row in zip(found.names, found.said, strict=False)
    ]


def defend_verdict(outcome: Outcome) -> str:
    """How many defenses bring the class back, against each attacker that was tried, the one who knows them first."""
    columns, name = outcome.columns, outcome.classes[outcome.label]
    if not columns:
        return "No defense stands here yet; add one."
    if not outcome.label_known:
        return _defended_unknown(outcome, name)
    if not outcome.attacked.success:
        kept = sum(column.clean.recovered for column in columns)
        return f"The attack did not fool the classifier. {_of(kept, len(columns))} the clean {name} recognised."
    grey = [column.grey.recovered for column in columns if column.grey]
    adaptive = [column.adaptive.recovered for column in columns if column.adaptive]
    parts = []
    if adaptive:
        verb = "stands" if sum(adaptive) == 1 else "stand"
        parts.append(f"Against an attacker who knows them, {sum(adaptive)} of {len(adaptive)} defenses {verb}.")
    if grey:
        verb = "brings" if sum(grey) == 1 else "bring"
        parts.append(
            f"{sum(grey)} of {len(grey)} defenses {verb} the {name} back from an attacker who does not know them."
        )
    return " ".join(parts)


def _defended_unknown(outcome: Outcome, name: str) -> str:
    """The same for an image whose true class is unknown: which defenses give the prediction of the clean image."""
    columns = outcome.columns
    if not outcome.attacked.success:
        kept = sum(column.clean.recovered for column in columns)
        return f"The attack did not fool the classifier. {_of(kept, len(columns))} the clean prediction, {a(name)}."
    parts = []
    for who, guards in (
        ("knows them", [column.adaptive.recovered for column in columns if column.adaptive]),
        ("does not know them", [column.grey.recovered for column in columns if column.grey]),
    ):
        if guards:
            verb = "restores" if sum(guards) == 1 else "restore"
            parts.append(
                f"{sum(guards)} of {len(guards)} defenses {verb} the clean prediction, {a(name)}, "
                f"where the attacker {who}."
            )
    return " ".join(parts)


def _of(kept: int, total: int) -> str:
    return f"{kept} of {total} defenses {'keeps' if kept == 1 else 'keep'}"


def mark(right: bool) -> str:
    return "✓" if right else "✗"


def prediction(verdict: Verdict, classes: tuple[str, ...], label: int | None) -> str:
    """A prediction with its mark: ✓ cat 97 %; without a mark where the true class `label` is unknown (None)."""
    return f"{right_or_wrong(verdict.label, label)}{classes[verdict.label]} {per_cent(verdict.confidence)}"


def right_or_wrong(predicted: int, label: int | None) -> str:
    """The mark before a predicted class, with a space; nothing where the true class is unknown."""
    return "" if label is None else f"{mark(predicted == label)} "


def table_of_columns(
    columns: tuple[Column, ...], classes: tuple[str, ...], label: int | None
) -> list[dict[str, object]]:
    """One row a defense: the attacker who knows it first, then the one who does not, then what it costs."""
    rows: list[dict[str, object]] = []
    for column in columns:
        row: dict[str, object] = {"Defense": column.defense}
        for title, guard in (
            ("Adaptive", column.adaptive),
            ("Grey box", column.grey),
            ("Clean", column.clean),
        ):
            if guard is not None:
                row[title] = prediction(guard.verdict, classes, label)
        rows.append({**row, "Time": duration(column.seconds)})
    return rows


def windows_verdict(
    kept: int,
    recall: float | None,
    before: Verdict,
    after: Verdict,
    classes: tuple[str, ...],
    label: int,
    known: bool = True,
) -> str:
    """How many windows stand out, how much of the patch they hold, and what smoothing them gives.

    `label` is the true class; where it is not `known`, the prediction of the clean image.
    """
    name = classes[label] if known else f"clean prediction, {a(classes[label])}"
    if not kept:
        return f"No window stands out: nothing is smoothed, and the classifier sees {a(classes[after.label])}."
    words = f"{_counted(kept)} stand{'s' if kept == 1 else ''} out"
    them = "it" if kept == 1 else "them"
    if recall is not None:
        words += f"; {'it holds' if kept == 1 else 'they hold'} {per_cent(recall)} of the patch"
    if before.label == label:
        ends = "keeps" if after.label == label else "loses"
        return f"{words}. Smoothing {them} {ends} the {name}."
    if after.label == label:
        return f"{words}. Smoothing {them} returns the {name}."
    return f"{words}. Smoothing {them} does not return the {name}: the classifier sees {a(classes[after.label])}."


def _counted(kept: int) -> str:
    small = ("", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
    return f"{small[kept] if kept < len(small) else kept} window{'' if kept == 1 else 's'}"


def cam_verdict(found: tuple[Explained, ...], classes: tuple[str, ...], label: int, known: bool = True) -> str:
    """Where the classifier's attention went, and which defense brings most of it back.

    `label` is the true class; where it is not `known`, the prediction of the clean image.
    """
    clean, attacked, *defended = found
    assert attacked.shift is not None
    name = classes[label] if known else f"clean prediction, {a(classes[label])}"
    now = classes[attacked.verdict.label]
    if attacked.shift.inside is not None:
        words = (
            f"{per_cent(attacked.shift.inside[1])} of the classifier's attention lies inside the patch; "
            f"of the clean picture's it was {per_cent(attacked.shift.inside[0])}"
        )
    elif attacked.shift.overlap > 0.7:
        words = f"The classifier still looks at the same place ({per_cent(attacked.shift.overlap)} of the top fifth)"
        words += f" and sees {a(now)}" if attacked.verdict.label != label else ""
    else:
        words = f"The attack moved the classifier's attention: the top fifths of its maps share {per_cent(attacked.shift.overlap)}"
    back = [one for one in defended if one.shift is not None]
    if back:
        best = max(back, key=lambda one: one.shift.shared if one.shift else 0.0)
        assert best.shift is not None
        if best.shift.shared > attacked.shift.shared + 0.02:
            saved = f", and the {name}" if best.verdict.label == label != attacked.verdict.label else ""
            words += f". {best.title} returns {per_cent(best.shift.shared)} of the map{saved}"
    return words + "."


def noise_verdict(picture: float, deepest: float, shuffled: float, title: str) -> str:
    """How a change grows on its way through the classifier, beside the same change in another order."""
    grows = "grows to" if deepest > 1.5 * picture else "is"
    return (
        f"A change of {per_cent(picture)} of the picture {grows} {per_cent(deepest)} of {title}; "
        f"the same change with its pixels shuffled is {per_cent(shuffled)} there."
    )


def masks_verdict(seen: str, read: str, truth: str | None, attacked: bool) -> str:
    """What the classifier sees in the attacked picture, and what its mask says; `truth` is None where it is unknown."""
    if not attacked:
        return f"The attack did not fool the classifier: it sees {a(seen)}, and the mask reads as {a(read)}."
    if seen == read:
        return f"The classifier sees {a(seen)}, and so does who reads the mask: the attack goes unnoticed."
    back = ", which it is" if read == truth else ""
    return f"The classifier sees {a(seen)}; its attention mask still reads as {a(read)}{back}: they disagree, so the picture is flagged."


def detect_verdict(detector: str, clean: bool, attacked: bool, fooled: bool) -> str:
    """What the detector says of the picture at hand."""
    if not fooled:
        return (
            f"The attack did not fool the classifier, and {detector} {'flags' if attacked else 'passes'} the picture."
        )
    if attacked:
        return f"{detector} flags the attacked picture" + (
            ", but the clean one too." if clean else " and passes the clean one."
        )
    return f"{detector} does not notice the attack" + ("; it flags the clean picture instead." if clean else ".")


def trial_verdict(detector: str, trial: Trial, threshold: float) -> str:
    """How often the detector is right, first of the attacker who knows it."""
    known, plain = (trial.true_positive(side, threshold) for side in (trial.adaptive, trial.oblivious))
    if not known.count and not plain.count:
        return "The attack fooled the classifier on none of these pictures."
    words = f"{detector} flags {plain.hits} of {plain.count} fooling pictures ({per_cent(plain.value)})"
    if not known.count:
        return f"{words}; known to the attacker, none fooled the classifier."
    passes = trial.unnoticed(trial.adaptive, threshold)
    words += f". Known to the attacker, {known.hits} of {known.count} ({per_cent(known.value)})"
    return f"{words}: {passes.hits} of {passes.count} go unnoticed."
