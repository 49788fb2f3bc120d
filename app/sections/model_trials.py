"""Several classifiers attacked on many images: what is attacked, with how many images, and the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from app.components.image_row import Tile, row
from app.components.tables import Row, table
from app.plots.model_plots import eps_curves_plot, transfer_plot
from app.runtime import background, model_jobs, progress, recipe_jobs
from app.sections.evaluation_form import eps_notes, eps_values
from app.state import result_keys, results, session
from app.state.result_keys import ResultKey
from app.text import attacked_title, plural, prediction
from app.theme import plain
from app.verdicts.models import (
    curves_table,
    curves_verdict,
    image_verdict,
    pair_table,
    pair_verdict,
    transfer_table,
    transfer_verdict,
)
from core import domains
from core.domains import Domain
from core.evaluate.transfer import MAX_CLASSIFIERS
from core.inputs import BadInput
from core.recipe import Example, Recipe
from core.recipe.comparison import predict_pixels

MOST, USUAL = 1000, 100  # images
STEPS = (0.25, 0.5, 1.0, 2.0)  # of the attack's own eps, at which a curve is drawn unless others are chosen

T = TypeVar("T")


def here(domain: Domain) -> dict[str, str]:
    """The titles of the classifiers that need no download, by name."""
    return {name: domain.classifier_title(name) for name in domain.classifier_names() if domain.is_local(name)}


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
        st.info(plain(domain.missing() or "There are no labeled images here."))
        return None
    split = "test" if "test" in splits else splits[0]
    try:
        most = min(MOST, domain.count(split))
    except BadInput as error:
        st.error(plain(str(error)))
        return None
    words = f"1 to {most:,} of {split!r}, drawn by the seed."
    label, start = "Images", min(USUAL, most)
    return int(st.number_input(label, 1, most, start, key=f"{key}_{domain.name}", width=160, help=words)), split


def attack_line(recipe: Recipe) -> bool:
    """Which attack is used and where it is set; False where it cannot be used on many images."""
    attack = recipe.built_attack()
    if attack.universal:
        st.info(
            f"{attack.title} makes one change for all images; choose an attack on single images on the Attack page."
        )
        return False
    goal = f", toward {recipe.target}" if recipe.target else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"The attack is {plain(recipe.attack_description() + goal)}.", width="content")
        link = {} if recipe == Recipe() else {"recipe": recipe.to_link()}
        st.page_link("pages/attack.py", label="Change it", icon=":material/bolt:", query_params=link)
    return True


def computed(key: ResultKey[T], label: str, begin: Callable[[], None]) -> T | None:
    """The result of that key, which a button computes; None while it is not there, which is said."""
    if st.button(label, type="primary", icon=":material/play_arrow:", key=f"models_run_{key.kind}"):
        background.invalidate(key)
        with session.report_errors():
            begin()
        session.show_late_error()
    result = results.get(key)
    if result is None and (background.blocked(key) or _is_running(key)):
        st.caption(progress.status_text(key, "It is running.", "It"))
    return result


def _is_running(key: ResultKey[T]) -> bool:
    job = background.current_job()
    return job is not None and job.key == key


def measured_note(recipe: Recipe, count: int, split: str) -> str:
    """What the numbers were measured on, as sentences."""
    domain = domains.get(recipe.domain)
    target = " An image of the target's own class is not attacked." if recipe.target else ""
    return (
        f"{count} {split} images of {domain.title}, seed {recipe.seed}, no defense; judged after 8-bit rounding, 95 % intervals "
        f"(Wilson).{target}"
    )


def pair(recipe: Recipe, example: Example, titles: dict[str, str]) -> str:
    """Two classifiers on the current image and on many; the headline."""
    names, own = list(titles), result_keys.classifier_name(recipe)
    columns = st.columns(2, gap="medium")
    first = columns[0].selectbox(
        "First", names, names.index(own) if own in names else 0, format_func=titles.__getitem__, key=f"pair_first_{own}"
    )
    others = [name for name in names if name != first]
    second = columns[1].selectbox(
        "Second", others, format_func=titles.__getitem__, key=f"pair_second_{recipe.domain}_{first}"
    )
    headline = on_the_image(recipe, example, (first, second), titles)
    st.subheader("On many images", anchor=False)
    images = image_count(domains.get(recipe.domain), "pair_count")
    if images is None or not attack_line(recipe):
        return headline
    count, split = images
    result = computed(
        result_keys.transfer_accuracy(recipe, (first, second), count, split),
        f"Compare on {plural(count, 'image')}",
        lambda: model_jobs.start_transfer_accuracy(recipe, (first, second), count, split),
    )
    if result is None:
        return headline
    attack = recipe.attack_description()
    table(pair_table(result, titles, attack), key="pair_table", name="two_classifiers")
    st.caption(
        plain(
            f"{measured_note(recipe, len(result.labels), split)} Crafted on the judge itself it is a white box, else a black box: "
            "the attacker never saw the judge. Same prediction: right or wrong."
        )
    )
    return pair_verdict(result, titles, attack)


def on_the_image(recipe: Recipe, example: Example, names: Sequence[str], titles: dict[str, str]) -> str:
    """What classifiers see in the recipe's image and in its adversarial image; the headline."""
    key = result_keys.attack(recipe)
    if results.get(key) is None and background.current_job() is None:
        recipe_jobs.start_attack(recipe, example)
    attacked = results.get(key)
    if attacked is None:
        if background.blocked(key):
            progress.retry_button(key)
        return progress.status_text(key, "The attack is running.", "The attack")
    shown = [("clean", example.clean), ("adversarial", attacked.adversarial)]
    try:
        seen = [[predict_pixels(example.load(name), pixels, example.label) for name in names] for _, pixels in shown]
    except BadInput as error:
        st.error(plain(str(error)))
        return "One of these classifiers cannot be used."
    classes, label = example.classifier.classes, example.known_label
    words = [
        [f"{titles[n]}: {prediction(p, classes, label)}" for n, p in zip(names, line, strict=True)] for line in seen
    ]
    title = attacked_title(attacked)
    row(
        [
            Tile(example.clean, "clean", "; ".join(words[0]), "clean", file_name="clean.png"),
            Tile(attacked.adversarial, title, "; ".join(words[1]), "adversarial", "→", "adversarial.png"),
        ],
        key="pair_images",
        label="The image and its adversarial form, by both classifiers",
        width=170,
    )
    rows: list[Row] = [
        {
            "classifier": titles[name],
            "attacker": "white box" if name == result_keys.classifier_name(recipe) else "black box",
            "clean image": prediction(seen[0][n], classes, label),
            "adversarial image": prediction(seen[1][n], classes, label),
        }
        for n, name in enumerate(names)
    ]
    table(rows, key="pair_image", name="two_classifiers_one_image")
    st.caption(
        plain(
            f"{attacked.method}, crafted on {example.classifier.title} without any defense, seed {recipe.seed}. For that classifier it "
            "is a white box; the attacker did not see any other one (black box)."
        )
    )
    return image_verdict([titles[name] for name in names], seen[0], seen[1], classes)


def chosen_classifiers(titles: dict[str, str], key: str) -> list[str]:
    """Which classifiers take part."""
    names = st.multiselect(
        "Classifiers",
        list(titles),
        list(titles)[:MAX_CLASSIFIERS],
        format_func=titles.__getitem__,
        max_selections=MAX_CLASSIFIERS,
        key=key,
        wrap=True,
    )
    if not names:
        st.caption("Choose at least one classifier.")
    return names


def curves(recipe: Recipe, titles: dict[str, str]) -> str:
    """Accuracy against eps of several classifiers; the headline."""
    domain, attack = domains.get(recipe.domain), recipe.built_attack()
    parameters = domain.attack_parameters(type(attack), recipe.attack.params)
    parameter = next((p for p in parameters if p.name == "eps"), None)
    names = chosen_classifiers(titles, f"curves_names_{domain.name}")
    if not attack_line(recipe):
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
    values = eps_values(text, unit)
    if not values:
        st.error(f"{plain(repr(text), 80)} is no list of numbers; write them as {usual}.")
    for note in eps_notes(values or []) if unit == "/255" else []:
        st.caption(note)
    if images is None or not names or not values:
        return "Choose classifiers and values of eps, and see how fast each accuracy falls."
    count, split = images
    result = computed(
        result_keys.eps_curves(recipe, names, values, count, split),
        f"Attack {plural(count, 'image')}",
        lambda: model_jobs.start_eps_curves(recipe, names, values, count, split),
    )
    if result is None:
        return "Press the button to see how fast the accuracy of each classifier falls with eps."
    eps_curves_plot(result, titles, unit, key="curves_plot")
    table(curves_table(result, titles, unit), key="curves_table", name="accuracy_by_eps")
    st.caption(
        plain(
            f"{measured_note(recipe, len(result.labels), split)} Each classifier is attacked itself (white box). A curve that does not "
            "fall to 0 % at a large eps is a sign of an attack that is too weak, or of gradients that mislead it."
        )
    )
    return curves_verdict(result, titles, unit)


def transfer(recipe: Recipe, titles: dict[str, str]) -> str:
    """The matrix of transfer; the headline."""
    domain = domains.get(recipe.domain)
    names = chosen_classifiers(titles, f"transfer_names_{domain.name}")
    images = image_count(domain, "transfer_count")
    if not attack_line(recipe):
        return "Choose an attack on single images."
    if images is None or not names:
        return "Choose classifiers, and see which attacks carry over from one to another."
    count, split = images
    result = computed(
        result_keys.transfer_accuracy(recipe, names, count, split),
        f"Attack {plural(count, 'image')} on each classifier",
        lambda: model_jobs.start_transfer_accuracy(recipe, names, count, split),
    )
    if result is None:
        return "Press the button to see which attacks carry over from one classifier to another."
    transfer_plot(result, titles, key="transfer_plot")
    table(transfer_table(result, titles), key="transfer_table", name="transfer")
    st.caption(
        plain(
            f"{measured_note(recipe, len(result.labels), split)} Rows: the classifier that the attack was crafted on. Columns: the one "
            "that judges. The diagonal is the white box; everywhere else the attacker never saw the judge (black box)."
        )
    )
    return transfer_verdict(result, titles)
