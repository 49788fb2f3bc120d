"""What Compare says: the headline, the table of attacks and the table of transfer."""

from __future__ import annotations

from app.text import a, before_words, budget, duration, joined, plural, prediction, stopped_after
from core import attacks
from core.analysis.comparison import Comparison, ComparisonRow, TransferMatrix
from core.evaluate.tables import Row
from core.recipe import Prediction


def compare_verdict(
    results: Comparison, classes: tuple[str, ...], before: Prediction, label: int, known: bool, unit: str = "/255"
) -> str:
    """How many of the attacks fool the classifier, and which one changes the image least.

    Args:
        before: what the classifier says of the clean image.
        label: the true class; where it is not `known`, the prediction of the clean image.
        unit: in which the domain writes eps.
    """
    begin = stop_words(results)
    if before.label != label:
        begin += before_words(before, classes, label, known) + " "
        if results.target is None:
            return f"{begin}An untargeted attack has nothing to do."
    entries = [entry for entry in results.entries if entry.attacked.success or not entry.attacked.stopped]
    winners = [entry for entry in entries if entry.attacked.success]
    if not entries:
        return f"{begin}No attack ran to its end."
    if len(entries) == 1:
        return begin + _single(entries[0], classes, before, results.target, unit)
    share = f"{len(winners)} of {len(entries)} attacks" if winners else f"None of {len(entries)} attacks"
    singular = len(winners) < 2
    if results.target is None:
        words = f"{share} {'fools' if singular else 'fool'} the classifier{eps_words(entries, unit)}"
    else:
        words = f"{share} {'reaches' if singular else 'reach'} the target, {a(classes[results.target])}{eps_words(entries, unit)}"
    if not winners:
        same = all(entry.attacked.prediction.label == before.label for entry in entries)
        return f"{begin}{words}{f': it is still seen as {a(classes[before.label])}' if same else ''}."
    return f"{begin}{words}{_least(winners)}."


def ended_at_success(results: Comparison) -> list[str]:
    """The attacks that ended at their first success although they may take more steps."""
    titles = []
    for entry in results.entries:
        attacked, steps = entry.attacked, entry.attack.values().get("steps")
        if not attacked.success or attacked.stopped or (isinstance(steps, int) and attacked.iterations >= steps):
            continue
        # Some look at the point that fooled once more, in a step of its own.
        if 1 < attacked.iterations <= attacked.steps_to_success + 1:
            titles.append(entry.attack.title)
    return titles


def _single(entry: ComparisonRow, classes: tuple[str, ...], before: Prediction, target: int | None, unit: str) -> str:
    """The headline of one attack alone."""
    title, seen = entry.attack.title, entry.attacked.prediction.label
    if entry.attacked.success:
        return f"{title} makes the classifier see {a(classes[seen])}{eps_words([entry], unit)}."
    failed = "does not fool the classifier" if target is None else f"does not reach the target, {a(classes[target])}"
    return f"{title} {failed}{eps_words([entry], unit)}: it {'is still' if seen == before.label else 'is'} seen as {a(classes[seen])}."


def _least(winners: list[ComparisonRow]) -> str:
    """Which winners have the smallest L2; attacks whose L2 is the same as it is shown are a tie."""
    smallest = min(round(entry.attacked.norms.l2, 2) for entry in winners)
    titles = list(dict.fromkeys(e.attack.title for e in winners if round(e.attacked.norms.l2, 2) == smallest))
    if len(winners) == 1:
        return f": {titles[0]}"
    return f"; {joined(titles)} {'changes' if len(titles) == 1 else 'change'} the image least (L2 {smallest:.2f})"


def eps_words(entries: list[ComparisonRow], unit: str = "/255") -> str:
    """The budget of the attacks that have one, as a phrase; nothing where none has."""
    budgets = [float(eps) for entry in entries if (eps := getattr(entry.attack, "eps", None)) is not None]
    if not budgets:
        return ""
    where = "" if len(budgets) == len(entries) else " where an attack has one"
    low, high = budget(min(budgets), unit), budget(max(budgets), unit)
    return f" (eps {low if low == high else f'{low} to {high}'}{where})"


def stop_words(results: Comparison) -> str:
    """What was not done because the comparison was stopped, as a sentence with a space behind; nothing where all was done."""
    cut = [entry for entry in results.entries if entry.attacked.stopped]
    if not cut and not results.missing:
        return ""
    where = [f"during {entry.attack.title}" for entry in cut]
    rest = plural(len(results.missing), "attack")
    left = f"; {rest} did not run" if results.missing else ""
    return f"Stopped{' ' + where[0] if where else ''}{left}. "


def table_of_attacks(results: Comparison, classes: tuple[str, ...], label: int | None, unit: str = "/255") -> list[Row]:
    """One row an attack: what is seen, how far the image was moved, and what that took. An attack that never began has dashes."""
    rows: list[Row] = []
    partial = bool(stop_words(results))
    for entry in results.entries:
        done, norms = entry.attacked, entry.attacked.norms
        row: Row = {
            "Attack": entry.attack.title,
            "Classifier sees": prediction(done.prediction, classes, label),
            "L0": norms.l0,
            "L2": f"{norms.l2:.2f}",
            "L∞": budget(norms.linf, unit),
            "SSIM": f"{norms.ssim:.3f}",
            "Steps until fooled": f"{done.steps_to_success:,}" if done.success else "–",
            "Gradients": done.gradients,
            "Queries": done.queries,
            "Time": duration(done.seconds),
        }
        if partial:
            row["State"] = stopped_after(done.iterations) if done.stopped else "finished"
        rows.append(row)
    for name in results.missing:
        empty = dict.fromkeys(rows[0] if rows else ("Attack", "Classifier sees", "State"), "–")
        rows.append({**empty, "Attack": attacks.get(name).title, "State": "did not run"})
    return rows


def table_of_transfer(result: TransferMatrix, titles: dict[str, str], classes: tuple[str, ...]) -> list[Row]:
    """One row a classifier that the attack was made on, one column a classifier that it was tried on; dashes where it was stopped."""
    rows: list[Row] = []
    for number, crafted_on in enumerate(result.names):
        said = result.predictions[number] if number < len(result.predictions) else None
        row: Row = {"Made on": titles[crafted_on]}
        for n, tried in enumerate(result.names):
            row[titles[tried]] = "–" if said is None else prediction(said[n], classes, result.label)
        rows.append(row)
    return rows
