"""Several classifiers attacked on many images: what is attacked, with how many images, and the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from app.components.tables import table
from app.plots.model_plots import eps_curves_plot, transfer_plot
from app.runtime import background, model_jobs, progress
from app.sections.evaluation_form import eps_notes, eps_values
from app.state import model_cache, result_keys, results, session
from app.state.result_keys import AnyKey, ResultKey, classifier_name, device_name
from app.text import budget, duration, plural
from app.theme import plain
from app.verdicts.models import curves_table, curves_verdict, transfer_table, transfer_verdict
from core import domains
from core.domains import Domain
from core.evaluate.transfer import MAX_CLASSIFIERS
from core.inputs import InvalidInput
from core.recipe import Recipe, cost

MOST, USUAL = 1000, 100  # images
STEPS = (0.25, 0.5, 1.0, 1.5)  # of the attack's own eps, at which a curve is drawn unless others are chosen

T = TypeVar("T")


def here(domain: Domain) -> dict[str, str]:
    """The titles of the classifiers that need no download, by name."""
    device, root = device_name(), str(domains.data_root())
    names = [n for n in domain.classifier_names() if model_cache.is_available((domain.name, n, device, root))]
    return {name: domain.classifier_title(name) for name in names}


def needs_another(domain: Domain, titles: dict[str, str]) -> bool:
    """Whether there are fewer than two classifiers to put beside each other; then it says so."""
    if len(titles) > 1:
        return False
    st.info(
        plain(f"{domain.title} has {plural(len(titles), 'classifier')} here. Train a second one to compare the two.")
    )
    with st.container(horizontal=True):
        st.page_link("pages/training.py", label="Train a classifier", icon=":material/model_training:")
    return True


def image_count(domain: Domain, key: str) -> tuple[int, str] | None:
    """How many images of which split; None where the domain has none here, with a sentence that says why."""
    splits = domain.splits()
    if not splits:
        st.info(plain(domain.missing_reason() or "There are no labeled images here."))
        return None
    split = "test" if "test" in splits else splits[0]
    try:
        most = min(MOST, domain.count(split))
    except InvalidInput as error:
        st.error(plain(str(error)))
        return None
    words = f"1 to {most:,} of {split!r}, drawn by the seed."
    label, start = "Images", min(USUAL, most)
    count = st.number_input(
        label, 1, most, start, key=f"{key}_{domain.name}", width=160, help=words, bind="query-params"
    )
    return int(count), split


def attack_words(recipe: Recipe, *, eps: bool = True) -> str:
    """The recipe's attack with its settings, also those that are the defaults: its eps, unless others are tried, and its steps."""
    attack, params = recipe.build_attack(), recipe.attack.params
    values, words = attack.values(), [recipe.attack_description()]
    parameters = domains.get(recipe.domain).attack_parameters(type(attack), params)
    unit = next((parameter.unit for parameter in parameters if parameter.name == "eps"), None)
    if eps and unit is not None and "eps" not in params:
        words.append(f"eps {budget(values['eps'], unit)}")
    if values.get("steps", 1) > 1 and "steps" not in params:
        words.append(plural(values["steps"], "step"))
    if recipe.target:
        words.append(f"toward {recipe.target}")
    return ", ".join(words)


def attack_line(recipe: Recipe, words: str) -> bool:
    """Which attack is used and where it is set; False where it cannot be used on many images."""
    attack = recipe.build_attack()
    if attack.universal:
        st.info(
            f"{attack.title} makes one change for all images; choose an attack on single images on the Attack page."
        )
        return False
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"The attack is {plain(words)}.", width="content")
        link = {} if recipe == Recipe() else {"recipe": recipe.to_link()}
        st.page_link("pages/attack.py", label="Change it", icon=":material/bolt:", query_params=link)
    return True


def computed(key: ResultKey[T], label: str, begin: Callable[[], None]) -> T | None:
    """The result of that key, which a button computes; None while it is not there."""
    pressed = st.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        key=f"models_run_{key.kind}",
        on_click=session.forget_error,  # before the page runs again, or an old box stands above a new one
    )
    if pressed:
        background.invalidate(key)
        with session.report_errors():
            begin()
        session.show_late_error()
    return results.get(key)


def waiting(key: AnyKey, otherwise: str) -> str:
    """The headline while there is no result: that it is computed, why it is not, or else what to do."""
    if background.blocked(key) == "refused":
        about, most = duration(background.estimated_seconds(key)), duration(cost.most())
        return f"This would take about {about}; this server runs {most} at most. Lower the number of images, of classifiers or the steps."
    job = background.current_job()
    if (job is not None and job.key == key) or background.blocked(key):
        return progress.status_text(key, "The attacks are running.", "This")
    return otherwise


def measured_note(recipe: Recipe, attack: str, count: int, split: str) -> str:
    """What the numbers were measured on, as sentences; `attack` is the attack in words."""
    domain = domains.get(recipe.domain)
    target = " An image of the target's own class is not attacked." if recipe.target else ""
    return (
        f"{attack}, on {count} {split} images of {domain.title}, seed {recipe.seed}, no defense; judged after 8-bit rounding, "
        f"95 % intervals (Wilson).{target}"
    )


def chosen_classifiers(recipe: Recipe, titles: dict[str, str], kind: str) -> list[str]:
    """Which classifiers take part: at first the recipe's own and others, as many as there may be."""
    own = classifier_name(recipe)
    offered = sorted(titles, key=lambda name: name != own)
    names = st.multiselect(
        "Classifiers",
        offered,
        offered[:MAX_CLASSIFIERS],
        format_func=titles.__getitem__,
        max_selections=MAX_CLASSIFIERS,
        key=f"{kind}_names_{recipe.domain}_{own}",
        wrap=True,
    )
    if len(offered) > MAX_CLASSIFIERS:
        first = f"; {titles[own]}, the one in use, comes first" if own in titles else ""
        st.caption(plain(f"At most {MAX_CLASSIFIERS} of the {len(offered)} classifiers here take part{first}."))
    if not names:
        st.caption("Choose at least one classifier.")
    return names


def checked_eps(recipe: Recipe, text: str, unit: str, usual: str) -> list[str]:
    """The values of eps that were typed; none, and a sentence that says why, where the attack does not take them."""
    values = eps_values(text, unit)
    if not values:
        st.error(f"{plain(repr(text), 80)} is no list of numbers; write them as {usual}.")
        return []
    try:
        model_jobs.attacks_at(recipe, values)
    except InvalidInput as error:
        st.error(plain(str(error)))
        return []
    return values


def curves(recipe: Recipe, titles: dict[str, str]) -> str:
    """Accuracy against eps of several classifiers; the headline."""
    domain, attack = domains.get(recipe.domain), recipe.build_attack()
    parameters = domain.attack_parameters(type(attack), recipe.attack.params)
    parameter = next((p for p in parameters if p.name == "eps"), None)
    names = chosen_classifiers(recipe, titles, "curves")
    words = attack_words(recipe, eps=False)
    if not attack_line(recipe, words):
        return "Choose an attack on single images."
    if parameter is None:
        st.info(f"{attack.title} has no eps; choose an attack with an eps, such as PGD, on the Attack page.")
        return "This attack has no eps, so there is no curve."
    unit, scale = parameter.unit, 255 if parameter.unit == "/255" else 1
    usual = ", ".join(f"{step * float(parameter.default) * scale:.3g}" for step in STEPS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            f"eps (n{unit})" if unit else "eps",
            usual,
            key=f"curves_eps_{domain.name}_{attack.name}_{unit}",
            help="Values with commas between; the clean image, eps 0, is always there.",
            width=280,
        )
        images = image_count(domain, "curves_count")
    values = checked_eps(recipe, text, unit, usual)
    for note in eps_notes(values) if unit == "/255" else []:
        st.caption(note)
    if images is None or not names or not values:
        return "Choose classifiers and values of eps, and see how fast each accuracy falls."
    count, split = images
    key = result_keys.eps_curves(recipe, names, values, count, split)
    result = computed(
        key,
        f"Attack {plural(count, 'image')}",
        lambda: model_jobs.start_eps_curves(recipe, names, values, count, split),
    )
    if result is None:
        return waiting(key, "Press the button to see how fast the accuracy of each classifier falls with eps.")
    eps_curves_plot(result, titles, unit, key="curves_plot")
    table(curves_table(result, titles, unit), key="curves_table", name="accuracy_by_eps")
    st.caption(
        plain(
            f"{measured_note(recipe, words, len(result.labels), split)} Each classifier is attacked itself (white box). "
            "A curve that does not fall to 0 % at a large eps is a sign of an attack that is too weak, or of gradients that mislead it."
        )
    )
    return curves_verdict(result, titles, unit)


def transfer(recipe: Recipe, titles: dict[str, str]) -> str:
    """The matrix of transfer; the headline."""
    domain = domains.get(recipe.domain)
    names = chosen_classifiers(recipe, titles, "transfer")
    images = image_count(domain, "transfer_count")
    attack = attack_words(recipe)
    if not attack_line(recipe, attack):
        return "Choose an attack on single images."
    if images is None or not names:
        return "Choose classifiers, and see which attacks carry over from one to another."
    count, split = images
    key = result_keys.transfer_accuracy(recipe, names, count, split)
    result = computed(
        key,
        f"Attack {plural(count, 'image')} on each classifier",
        lambda: model_jobs.start_transfer_accuracy(recipe, names, count, split),
    )
    if result is None:
        return waiting(key, "Press the button to see which attacks carry over from one classifier to another.")
    transfer_plot(result, titles, key="transfer_plot")
    table(transfer_table(result, titles), key="transfer_table", name="transfer")
    st.caption(
        plain(
            f"{measured_note(recipe, attack, len(result.labels), split)} Rows: the classifier that the attack was "
            "crafted on. Columns: the one that judges. The diagonal is the white box; everywhere "
            "else the attacker never saw the judge (black box)."
        )
    )
    return transfer_verdict(result, titles)
