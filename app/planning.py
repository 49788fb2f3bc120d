"""Setting up an evaluation: what is to be run on which pictures."""

from __future__ import annotations

import streamlit as st

from core import attacks, defenses, domains
from core.evaluate import Plan
from core.evaluate.command import at_each
from core.inputs import BadInput
from core.recipe import Method, Recipe
from core.recipe.recipe import Attacker

USUAL = 50  # pictures, where there are as many


def settings(recipe: Recipe) -> Plan | None:
    """What is to be run; None while something is missing, with a sentence that says what."""
    domain = domains.get(recipe.domain)
    splits = domain.splits()
    if not splits:
        st.info(domain.missing() or "There are no labelled pictures here.")
        return None
    names = domain.classifier_names()
    here = recipe.classifier or names[0]
    whom, what, against = st.columns([1, 1, 1.3], gap="medium")
    with whom:
        classifiers = st.multiselect(
            "Classifiers",
            names,
            [here],
            format_func=domain.classifier_title,
            key=f"ev_classifiers_{recipe.domain}_{here}",
            wrap=True,
        )
        split = st.selectbox("Split", splits, key=f"ev_split_{recipe.domain}", help="Which part of the data set.")
        most = domain.count(split)
        count = st.number_input(
            "Pictures",
            1,
            most,
            min(most, USUAL),
            key=f"ev_count_{recipe.domain}_{split}",
            help=f"1 to {most:,}, drawn by the seed.",
        )
    with what:
        chosen_attacks = _attacks(recipe)
        eps = st.text_input(
            "eps (n/255)",
            placeholder="as each attack has it; or 2, 4, 8",
            key="ev_eps",
            help="Several values, with commas between: attacks that have an eps run at each, and a curve is drawn.",
        )
        target = st.selectbox(
            "Target",
            ["", *domain.classes],
            format_func=lambda c: c or "any other class",
            key=f"ev_target_{recipe.domain}",
            help="Untargeted, or the class that the classifier is to see.",
        )
    with against:
        chosen_defenses = _defenses(recipe)
        attacker: Attacker = st.segmented_control(
            "The attacker",
            ["both", "grey", "adaptive"],
            format_func={"both": "both", "grey": "does not know", "adaptive": "knows"}.__getitem__,
            default="both",
            required=True,
            key="ev_attacker",
            wrap=True,
            help="Whether the attacker knows the defense (adaptive) or not (grey box). Both puts the two beside each other, "
            "at the price of one attack more for each defense.",
        )
        detect = st.toggle(
            "Detect by feature squeezing",
            key="ev_detect",
            wrap=True,
            help="How many pictures the detector calls attacked, at 5 % false positives on clean ones.",
        )
    needed = {"a classifier": bool(classifiers), "an attack or a defense": bool(chosen_attacks or chosen_defenses)}
    missing = [word for word, there in needed.items() if not there]
    if missing:
        st.caption(f"Choose {' and '.join(missing)}.")
        return None
    try:
        values = [
            f"{float(word)}/255" if "/" not in word else word
            for word in eps.replace(";", ",").split(",")
            if word.strip()
        ]
    except ValueError:
        st.error(f"{eps!r} is no list of numbers; write them as 2, 4, 8.")
        return None
    try:
        return Plan(
            domain=recipe.domain,
            classifiers=tuple(classifiers),
            split=split,
            count=int(count),
            seed=recipe.seed,
            attacks=tuple(at_each(chosen_attacks, values)),
            target=target,
            defenses=tuple(chosen_defenses),
            attacker=attacker,
            detect=detect,
        )
    except BadInput as error:
        st.error(str(error))
        return None


def _attacks(recipe: Recipe) -> list[Method]:
    """Which attacks: the one of the Attack screen as it stands there, and all others with their usual settings."""
    methods = (recipe.attack, *(Method(name=name) for name in attacks.names()))
    offered = {attacks.build(m.name, m.params).described(): m for m in methods}
    first = next(iter(offered))
    chosen = st.multiselect("Attacks", list(offered), [first], key=f"ev_attacks_{first}", wrap=True)
    return [offered[title] for title in chosen]


def _defenses(recipe: Recipe) -> list[tuple[Method, ...]]:
    """Which defenses: the columns of the Defend screen, and all others with their usual settings."""
    columns = dict(zip((d.described() for d in recipe.built_defenses()), recipe.defenses, strict=True))
    usual: dict[str, tuple[Method, ...]] = {defenses.get(n)().described(): (Method(name=n),) for n in defenses.names()}
    offered = {**usual, **columns}
    chosen = st.multiselect(
        "Defenses",
        list(offered),
        list(columns),
        key=f"ev_defenses_{hash(tuple(columns))}",
        wrap=True,
        help="The columns of the Defend screen come first: set parameters and chains there.",
    )
    return [offered[title] for title in chosen]
