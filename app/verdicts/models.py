"""What Models says: headlines and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.text import a, budget, joined, per_cent, plural
from core import domains
from core.domains.budget import LINF, Budget
from core.evaluate.eps_curves import EpsCurves
from core.evaluate.proportion import Proportion, wilson
from core.evaluate.tables import Row
from core.evaluate.transfer import TransferAccuracy
from core.models.artifacts import Artifact
from core.models.card_metrics import WORST_CASE, clean_metric, robust_metric
from core.models.cards import Metric
from core.recipe import Prediction

MOST_NAMES = 3  # names that a headline lists
KINDS = {"classifier": "classifier", "denoiser": "denoiser", "mask_generator": "mask generator"}


def cards_verdict(artifacts: Sequence[Artifact], where: str) -> str:
    """How many models there are, and which classifiers are the most accurate and the most robust.

    Args:
        where: the domain, or what else they belong to, as the beginning of a sentence.
    """
    counts = [(words, sum(item.card.kind == kind for item in artifacts)) for kind, words in KINDS.items()]
    listed = joined([plural(count, words) for words, count in counts if count]) or "no model"
    begin = f"{where}: {listed}."
    classifiers = [item for item in artifacts if item.card.kind == "classifier"]
    if len({item.card.domain for item in classifiers}) > 1:
        return begin  # accuracies on different images
    clean = [(item.card.title, metric) for item in classifiers if (metric := clean_metric(item.card))]
    if len(clean) > 1:
        begin += f" Most accurate: {_best(clean)}."
    measured = [(item.card.title, metric) for item in classifiers if (metric := robust_metric(item.card))]
    usual = _usual_budget(classifiers)
    worst = [
        (title, metric)
        for title, metric in measured
        if metric.what.startswith(WORST_CASE) and metric.eps is not None and metric.eps == usual.eps
    ]
    at = f"the worst case at eps {budget(usual.eps, usual.unit)}"
    if not worst:
        return f"{begin} No accuracy under {at} has been measured." if classifiers else begin
    of = (
        ""
        if len(worst) == len(classifiers)
        else f", of {len(worst)} that {'was' if len(worst) == 1 else 'were'} measured"
    )
    if max(metric.value for _, metric in worst) == 0:
        return f"{begin} Under {at} no image stays right ({plural(len(worst), 'classifier')} measured)."
    return f"{begin} Most robust under {at}{of}: {_best(worst)}."


def _usual_budget(classifiers: Sequence[Artifact]) -> Budget:
    """The usual L∞ budget of the classifiers' domain; accuracies under another one are not compared."""
    name = classifiers[0].card.domain if classifiers else ""
    return domains.get(name).linf if name in domains.names() else LINF


def _best(metrics: Sequence[tuple[str, Metric]]) -> str:
    """Who has the highest value, ties together, and the value with its count."""
    best = max(metrics, key=lambda pair: pair[1].value)[1]
    names = [title for title, metric in metrics if metric.value == best.value]
    return f"{joined(names) if len(names) <= MOST_NAMES else plural(len(names), 'classifier')} ({metric_words(best)})"


def metric_words(metric: Metric) -> str:
    """A share as sentences have it: 92 %, 9248 of 10000 images."""
    count = "" if metric.correct is None else f", {metric.correct:,} of {metric.count:,} images"
    return f"{100 * metric.value:.1f} %{count}"


def image_verdict(
    names: Sequence[str], clean: Sequence[Prediction], attacked: Sequence[Prediction], classes: Sequence[str]
) -> str:
    """What classifiers see in the clean and in the attacked image.

    Args:
        names: titles of two classifiers. clean, attacked: what each of them sees.
    """
    parts = []
    for words, seen in (("the clean image", clean), ("the adversarial image", attacked)):
        each = [f"{name} sees {_seen(prediction, classes)}" for name, prediction in zip(names, seen, strict=True)]
        same = len({prediction.label for prediction in seen}) == 1
        shares = joined([per_cent(prediction.confidence) for prediction in seen])
        parts.append(
            f"In {words} both see {a(classes[seen[0].label])} ({shares})." if same else f"In {words} {'; '.join(each)}."
        )
    return " ".join(parts)


def _seen(prediction: Prediction, classes: Sequence[str]) -> str:
    return f"{a(classes[prediction.label])} ({per_cent(prediction.confidence)})"


def pair_verdict(result: TransferAccuracy, titles: Mapping[str, str], attack: str) -> str:
    """How often two classifiers are right and agree."""
    first, second = result.names
    clean, attacked = ([per_cent(result.accuracy(n, on).value) for n, on in pairs] for pairs in _both(first, second))
    return (
        f"{_partial(result)}{titles[first]} and {titles[second]}: {' and '.join(clean)} of {len(result.labels)} clean images right, "
        f"{' and '.join(attacked)} under {attack} on each itself. "
        f"They agree on {per_cent(result.agreement(first, second).value)} of the clean images."
    )


def _both(first: str, second: str) -> tuple[list[tuple[str, str | None]], list[tuple[str, str | None]]]:
    return [(first, None), (second, None)], [(first, first), (second, second)]


def _partial(result: TransferAccuracy | EpsCurves) -> str:
    return f"Stopped after {len(result.labels)} of {result.planned} images. " if result.stopped else ""


def pair_table(result: TransferAccuracy, titles: Mapping[str, str], attack: str) -> list[Row]:
    """A row for the clean images and for those crafted on each of two classifiers: both accuracies, and how often they agree."""
    first, second = result.names
    rows: list[Row] = []
    for on in (None, first, second):
        row: Row = {"images": "clean" if on is None else f"{attack}, crafted on {titles[on]}"}
        for name in (first, second):
            row[f"right: {titles[name]}"] = share_words(result.accuracy(name, on))
        row["same prediction"] = share_words(result.agreement(first, second, on))
        rows.append(row)
    return rows


def share_words(share: Proportion) -> str:
    """A share with its 95 % interval and its count."""
    low, high = wilson(share.successes, share.count)
    return f"{100 * share.value:.1f} % ({100 * low:.0f}-{100 * high:.0f}), {share.successes:,} of {share.count:,}"


def metric_value(metric: Metric) -> str:
    """What a card says of one measurement; a share with its 95 % interval."""
    return metric.text if metric.correct is None else share_words(Proportion(metric.correct, metric.count))


def curves_verdict(result: EpsCurves, titles: Mapping[str, str], unit: str) -> str:
    """Which classifier is the most accurate without an attack, and which one at the largest eps."""
    last = budget(result.eps[-1], unit)
    if len(result.names) == 1:
        ends = [per_cent(result.curve(result.names[0])[place].value) for place in (0, -1)]
        title = titles[result.names[0]]
        begin = f"{_partial(result)}{title}: {ends[0]} of {len(result.labels)} images right without an attack"
        return f"{begin}, {ends[1]} right at eps {last}."
    best = [_winners(result, titles, place) for place in (0, -1)]
    begin = f"{_partial(result)}Of {len(result.labels)} images, without an attack {best[0]}"
    return f"{begin}; at eps {last} {best[1]}."


def _winners(result: EpsCurves, titles: Mapping[str, str], place: int) -> str:
    """Who has the most right at that place of the curves, ties together."""
    shares = {name: result.curve(name)[place].value for name in result.names}
    top = max(shares.values())
    if top == 0:
        return "no classifier gets any image right"
    winners = [name for name, share in shares.items() if share == top]
    return f"{_names(winners, titles)} {'gets' if len(winners) == 1 else 'get'} the most right, {per_cent(top)}"


def curves_table(result: EpsCurves, titles: Mapping[str, str], unit: str) -> list[Row]:
    """A row for each eps, a column for each classifier."""
    curves = {titles[name]: result.curve(name) for name in result.names}
    return [
        {"eps": budget(eps, unit), **{title: share_words(curve[n]) for title, curve in curves.items()}}
        for n, eps in enumerate(result.eps)
    ]


def transfer_verdict(result: TransferAccuracy, titles: Mapping[str, str]) -> str:
    """What an attack leaves of the classifier that it was crafted on, and of the others."""
    own = [result.accuracy(name, name).value for name in result.names]
    begin = f"{_partial(result)}Attacked itself, a classifier gets {_range(own)} of {len(result.labels)} images right"
    pairs = {(on, judge): result.accuracy(judge, on) for on in result.names for judge in result.names if on != judge}
    if not pairs:
        return f"{begin}."
    lowest = min(share.value for share in pairs.values())
    strongest = [pair for pair, share in pairs.items() if share.value == lowest]
    begin = f"{begin}; an attack on another one leaves {_range([share.value for share in pairs.values()])} right."
    if len(strongest) == len(pairs) > 1:
        return begin  # no transfer is stronger than another
    return f"{begin} The strongest transfer, {_pair_words(strongest, titles)}, leaves {per_cent(lowest)} right."


def _pair_words(pairs: Sequence[tuple[str, str]], titles: Mapping[str, str]) -> str:
    """From whom to whom attacks carry over: by name, or how many where they are many."""
    if len(pairs) == 1:
        return f"from {titles[pairs[0][0]]} to {titles[pairs[0][1]]}"
    crafted, judges = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
    if len(pairs) == len(crafted) * len(judges):
        return f"from {_names(crafted, titles)} to {_names(judges, titles)}"
    return f"in {len(pairs)} pairs of classifiers"


def _names(names: Sequence[str], titles: Mapping[str, str]) -> str:
    return joined([titles[name] for name in names]) if len(names) <= MOST_NAMES else f"{len(names)} classifiers"


def _range(shares: Sequence[float]) -> str:
    low, high = per_cent(min(shares)), per_cent(max(shares))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def transfer_table(result: TransferAccuracy, titles: Mapping[str, str]) -> list[Row]:
    """A row for no attack and for each classifier that the attack was crafted on, a column for each one that judges."""
    rows: list[Row] = []
    for on in (None, *result.names):
        row: Row = {"crafted on": "no attack" if on is None else titles[on]}
        for judge in result.names:
            row[f"judged by {titles[judge]}"] = share_words(result.accuracy(judge, on))
        rows.append(row)
    return rows
