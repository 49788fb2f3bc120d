"""The headline of an evaluation, true in every odd case: nothing known, unfinished, a tie, a target, nothing fooled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.text import per_cent, plural
from core import domains
from core.evaluate import NO_ATTACK, NO_DEFENSE, CellKey, Metrics, Proportion, wilson
from core.evaluate.metrics import Bools


def evaluate_verdict(findings: Metrics, classifier: int = 0, busy: bool = False) -> str:
    """What the strongest attack leaves right, what the best defense brings back, and what is left of that when it is known.

    All its counts are over the same images: those that every attack was tried on.

    Args:
        classifier: the plan's classifier that it speaks of; it is named where there are several.
        busy: whether the run is at work; an unfinished one that is not says so.
    """
    plan = findings.plan
    done, total = findings.run.progress()
    clean = findings.cell(CellKey(classifier, NO_ATTACK, NO_DEFENSE, "none")).evaluated
    names = plan.classifier_names()
    whose = f"{domains.get(plan.domain).classifier_title(names[classifier])}: " if len(names) > 1 else ""
    if not clean.any():
        if busy:
            return f"{whose}The evaluation is at work; nothing is known yet."
        return f"{whose}The evaluation is unfinished; nothing is known yet."
    seen = [n for n in range(len(plan.attacks)) if (findings.cell(_bare(classifier, n)).evaluated & clean).any()]
    among = clean.copy()
    for number in seen:
        among &= findings.cell(_bare(classifier, number)).evaluated
    words = _attacked(findings, classifier, seen, among) if seen else _unattacked(findings, classifier, among)
    words += _certified(findings, classifier)
    if done == total:
        return f"{whose}{words}."
    state = "At work" if busy else "Unfinished"
    over = f"numbers over {int(among.sum()):,} of {plural(plan.n_images, 'image')}"
    return f"{state}, {done:,} of {total:,} parts done, {over}. {whose}{words}."


def _bare(classifier: int, attack: int) -> CellKey:
    return CellKey(classifier, attack, NO_DEFENSE, "none")


def _share(findings: Metrics, place: CellKey, among: Bools) -> Proportion:
    share = findings.proportion(place, "accuracy", among)
    assert share is not None
    return share


def _names(titles: Sequence[str]) -> str:
    """Who shares a place: by name where there are two, else the first and how many others."""
    if len(titles) < 3:
        return " and ".join(titles)
    return f"{titles[0]} and {len(titles) - 1} others"


def _unattacked(findings: Metrics, classifier: int, among: Bools) -> str:
    """What is right without an attack, and what defenses and the detector make of that."""
    plan = findings.plan
    clean = _share(findings, _bare(classifier, NO_ATTACK), among)
    words = f"Without an attack {clean.successes} of {clean.count} are right ({per_cent(clean.value)})"
    broken = {
        n: share
        for n in range(len(plan.defenses))
        if (share := findings.clean_loss(CellKey(classifier, NO_ATTACK, n, "none"))).count
    }
    if broken:
        most = max(share.successes for share in broken.values())
        worst = [plan.defense_title(n) for n, share in broken.items() if share.successes == most]
        if not most:
            words += f"; {'no defense' if len(broken) > 1 else worst[0]} breaks {'any' if len(broken) > 1 else 'none'} of them"
        else:
            words += f"; {_names(worst)} {'breaks' if len(worst) == 1 else 'each break'} {most} of them"
            words += ", the most" if len(broken) > len(worst) else ""
    for number, detector in enumerate(plan.built_detectors):
        flagged = findings.proportion(_bare(classifier, NO_ATTACK), "flagged", detector=number)
        if flagged is not None and flagged.count:
            words += f"; {detector.title} flags {flagged.successes} of {flagged.count} clean images"
    if plan.attacks:
        words += "; no attack is done yet"
    return words


def _attacked(findings: Metrics, classifier: int, seen: list[int], among: Bools) -> str:
    """What the strongest attack does, and the defenses behind it."""
    plan = findings.plan
    clean = _share(findings, _bare(classifier, NO_ATTACK), among)
    left = {n: _share(findings, _bare(classifier, n), among) for n in seen}
    reached = {n: findings.proportion(_bare(classifier, n), "success", among) or Proportion(0, 0) for n in seen}
    if not clean.successes:
        return f"None of {plural(clean.count, 'image')} is right without an attack: an attack has nothing to fool"
    if plan.target:
        most = max(share.successes for share in reached.values())
        worst = [n for n in seen if reached[n].successes == most]
    else:
        least = min(share.successes for share in left.values())
        worst = [n for n in seen if left[n].successes == least]
    first, several = worst[0], len(worst) > 1
    who = _names([plan.attack_title(n) for n in worst])
    each = "each " if several else ""
    if plan.target:
        aim = domains.get(plan.domain).classes[domains.get(plan.domain).class_number(plan.target)]
        share = reached[first]
        turned = f"{share.successes} of {share.count}" if share.successes else f"none of {share.count}"
        words = f"{who} {each}turn{'' if several else 's'} {turned} into “{aim}”"
        if not several:
            words += f" and leaves {left[first].successes} of {left[first].count} right ({clean.successes} without it)"
    elif not any(reached[n].successes for n in worst):
        words = f"{who} fool{'' if several else 's'} none of the {clean.successes} of {clean.count} that are right"
    else:
        without = "them" if several else "it"
        words = (
            f"{who} {each}leave{'' if several else 's'} {left[first].successes} of {left[first].count} right "
            f"({clean.successes} without {without})"
        )
    under = f" under {plan.attack_title(first)}" if several else ""
    return words + _defended(findings, classifier, first, among, under)


def _certified(findings: Metrics, classifier: int) -> str:
    """For how many images the first certificate that fits holds, of the system with the largest share; or that none fits."""
    plan = findings.plan
    refused = 0
    for number, certificate in enumerate(plan.built_certificates):
        cells = {n: findings.certified(number, n, classifier) for n in (NO_DEFENSE, *range(len(plan.defenses)))}
        shares = {
            n: Proportion(int(cell.certified.sum()), int(cell.evaluated.sum()))
            for n, cell in cells.items()
            if cell.evaluated.any()
        }
        if shares:
            best = max(shares, key=lambda n: shares[n].value)
            whose = [plan.defense_title(best)] if best != NO_DEFENSE else []
            whose += [certificate.subject_name()] if certificate.subject else []
            words = f" ({', '.join(whose)})" if whose else ""
            title = plan.certificate_title(number)
            return f". By {title}, {shares[best].successes} of {shares[best].count} are certified{words}"
        refused += all(cell.refusal for cell in cells.values())
    if plan.certificates and refused == len(plan.certificates):
        return "; " + ("the certificate does not fit" if refused == 1 else "no certificate fits")
    return ""


def _defended(findings: Metrics, classifier: int, attack: int, among: Bools, under: str) -> str:
    """What the best defense makes of one attack."""
    plan = findings.plan
    numbers = range(len(plan.defenses))
    if plan.attacker == "adaptive":
        stands = {n: _share(findings, CellKey(classifier, attack, n, "adaptive"), among) for n in numbers}
        stands = {n: share for n, share in stands.items() if share.count}
        if not stands:
            return ""
        best = max(share.value for share in stands.values())
        top = [n for n, share in stands.items() if share.value == best]
        several, share = len(top) > 1, stands[top[0]]
        return (
            f"; known to the attacker, {_names([plan.defense_title(n) for n in top])} {'each leave' if several else 'leaves'} "
            f"{share.successes} of {share.count}{under}"
        )
    backs = {n: findings.proportion(CellKey(classifier, attack, n, "grey"), "recovered", among) for n in numbers}
    there = {n: share for n, share in backs.items() if share is not None and share.count}
    if not there:
        return ""
    known = {n: findings.proportion(CellKey(classifier, attack, n, "adaptive"), "recovered", among) for n in there}
    adaptive = {n: share for n, share in known.items() if plan.attacker == "both" and share is not None and share.count}
    most = max(share.value for share in there.values())
    top = [n for n, share in there.items() if share.value == most]
    best_one = max(top, key=lambda n: adaptive[n].value if n in adaptive else 0.0)
    back = there[best_one]
    if not back.successes:
        title = "no defense" if len(there) > 1 else plan.defense_title(best_one)
        return f"; {title} brings back {'any' if len(there) > 1 else 'none'} of the {back.count} fooled{under}"
    low, high = wilson(back.successes, back.count)
    tied = len(top) > 1 and len({adaptive[n].successes for n in top if n in adaptive}) < 2
    titles = [plan.defense_title(n) for n in top] if tied else [plan.defense_title(best_one)]
    words = (
        f"; {_names(titles)} {'each bring' if tied else 'brings'} back {back.successes} of {back.count} fooled "
        f"({per_cent(back.value)}, {100 * low:.0f}-{100 * high:.0f}){under}"
    )
    if best_one in adaptive:
        after = adaptive[best_one]
        words += f". Known to the attacker: {after.successes}"
        words += f" of {after.count}" if after.count != back.count else ""
    return words


def known_words(findings: Metrics, place: CellKey) -> str:
    """On how many images a cell was measured, where it is fewer than planned."""
    known = int(np.count_nonzero(findings.cell(place).evaluated))
    if known == findings.plan.n_images:
        return ""
    return f"Measured on {known:,} of {plural(findings.plan.n_images, 'image')}: the run is not finished."
