"""Setting up an evaluation: what is to be run on which images."""

from __future__ import annotations

import streamlit as st

from app.theme import plain
from core import attacks, certify, defenses, detectors, domains
from core.evaluate import Plan
from core.evaluate.eps_grid import at_each_eps
from core.images import rounding_note
from core.inputs import InvalidInput
from core.recipe import Method, Recipe
from core.recipe.columns import ColumnSpec
from core.recipe.recipe import Attacker, describe_attack

DEFAULT_IMAGES = 50  # images, where there are as many


def evaluation_form(recipe: Recipe) -> Plan | None:
    """What is to be run; None while something is missing, with a sentence that says what."""
    domain = domains.get(recipe.domain)
    splits = domain.splits()
    if not splits:
        st.info(plain(domain.missing_reason() or "There are no labeled images here."))
        return None
    names = domain.classifier_names()
    here = recipe.classifier or names[0]
    with st.container(key="ev_form"):  # the style sheet stacks its columns where they would be too narrow for a name
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
        try:
            most = domain.count(split)
        except InvalidInput as error:  # one split may be damaged where the others are whole
            st.error(plain(str(error)))
            return None
        count = st.number_input(
            "Images",
            1,
            most,
            min(most, DEFAULT_IMAGES),
            key=f"ev_count_{recipe.domain}_{split}",
            help=f"1 to {most:,}, drawn by the seed.",
        )
    with what:
        chosen_attacks = _attacks(recipe)
        usual = domain.linf
        example = eps_example(recipe.domain)
        eps = st.text_input(
            f"eps (n{usual.unit})" if usual.unit else "eps",
            placeholder=f"as each attack has it; or {example}",
            key="ev_eps",
            help="Several values, with commas between: attacks that have an eps run at each, and a curve is drawn.",
        )
        for note in eps_notes(eps_values(eps, usual.unit) or []):
            st.caption(note)
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
        chosen_detectors = st.multiselect(
            "Detectors",
            detectors.names(domain),
            [],
            format_func=lambda name: detectors.get(name).title,
            key=f"ev_detectors_{recipe.domain}",
            wrap=True,
            help="How many images the detector calls attacked, at 5 % false positives on clean ones.",
        )
        chosen_certificates = st.multiselect(
            "Certificates",
            certify.names(),
            [],
            format_func=lambda name: certify.get(name).title,
            key=f"ev_certificates_{recipe.domain}",
            wrap=True,
            help="Counts the images whose class no attack inside the certificate's threat model can change. Where a certificate does "
            "not fit a classifier or a defense, the table says why.",
        )
    chosen = bool(chosen_attacks or chosen_defenses or chosen_certificates)
    needed = {"a classifier": bool(classifiers), "an attack, a defense or a certificate": chosen}
    missing = [word for word, there in needed.items() if not there]
    if missing:
        st.caption(f"Choose {' and '.join(missing)}.")
        return None
    values = eps_values(eps, usual.unit)
    if values is None:
        st.error(f"{plain(repr(eps), 80)} is no list of numbers; write them as {example}.")
        return None
    try:
        return Plan(
            domain=recipe.domain,
            classifiers=tuple(classifiers),
            split=split,
            n_images=int(count),
            seed=recipe.seed,
            attacks=tuple(at_each_eps(chosen_attacks, values, recipe.domain)),
            target=target,
            defenses=tuple(chosen_defenses),
            attacker=attacker,
            detectors=tuple(Method(name=name) for name in chosen_detectors),
            certificates=tuple(_certificate(recipe, name) for name in chosen_certificates),
        )
    except InvalidInput as error:
        st.error(plain(str(error)))
        return None


def _certificate(recipe: Recipe, name: str) -> Method:
    """The certificate as the Certify page has it; with its usual settings where that page has another one."""
    own = recipe.view.certificate
    return own if own is not None and own.name == name else Method(name=name)


def eps_example(domain: str) -> str:
    """Several values of eps as a user of that domain writes them."""
    return "2, 4, 8" if domains.get(domain).linf.unit == "/255" else "0.1, 0.2, 0.3"


def eps_values(text: str, unit: str) -> list[str] | None:
    """The values of eps that were typed, as attacks take them: '8' in the unit '/255' is 8/255; None where one is no number."""
    words = [word.strip() for word in text.replace(";", ",").split(",") if word.strip()]
    try:
        for word in words:
            for part in word.split("/"):
                float(part)
    except ValueError:
        return None
    return [word if "/" in word else f"{word}{unit}" for word in words]


def eps_notes(values: list[str]) -> list[str]:
    """What 8-bit rounding makes of each value that is not a whole number of gray levels."""
    notes = []
    for value in values:
        top, _, bottom = value.partition("/")
        if float(bottom or 1) > 0:
            notes.append(rounding_note(float(top) / float(bottom or 1)))
    return [note for note in notes if note]


def _attacks(recipe: Recipe) -> list[Method]:
    """Which attacks: the one of the Attack screen as it stands there, and all others with their usual settings."""
    methods = (recipe.attack, *(Method(name=name) for name in attacks.names()))
    offered = {describe_attack(recipe.domain, m): m for m in methods}
    first = next(iter(offered))
    chosen = st.multiselect("Attacks", list(offered), [first], key=f"ev_attacks_{first}", wrap=True)
    return [offered[title] for title in chosen]


def _defenses(recipe: Recipe) -> list[ColumnSpec]:
    """Which defenses: the columns of the Defend screen, and all others with their usual settings."""
    columns = dict(zip((system.describe() for system in recipe.build_systems()), recipe.defenses, strict=True))
    domain = domains.get(recipe.domain)
    usual: dict[str, ColumnSpec] = {
        defenses.build_for(domain, n, {}).describe(): (Method(name=n),) for n in defenses.names(domain)
    }
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
