"""Two classifiers beside each other: on the current image, and on many."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.components.image_row import Tile, row
from app.components.tables import Row, table
from app.runtime import background, model_jobs, progress, recipe_jobs
from app.sections.model_trials import attack_line, attack_words, computed, image_count, measured_note, waiting
from app.state import result_keys, results
from app.state.result_keys import classifier_name
from app.text import attacked_title, plural, prediction
from app.theme import plain
from app.verdicts.models import image_verdict, pair_table, pair_verdict
from core import domains
from core.analysis.comparison import predict_pixels
from core.inputs import InvalidInput
from core.recipe import Example, Recipe


def pair(recipe: Recipe, example: Example, titles: dict[str, str]) -> str:
    """Two classifiers on the current image and on many; the headline."""
    names, own = list(titles), classifier_name(recipe)
    columns = st.columns(2, gap="medium")
    first = columns[0].selectbox(
        "First",
        names,
        names.index(own) if own in names else 0,
        format_func=titles.__getitem__,
        key=f"pair_first_{recipe.domain}_{own}",
        bind="query-params",
    )
    others = [name for name in names if name != first]
    second = columns[1].selectbox(
        "Second",
        others,
        format_func=titles.__getitem__,
        key=f"pair_second_{recipe.domain}_{first}",
        bind="query-params",
    )
    headline = on_the_image(recipe, example, (first, second), titles)
    st.subheader("On many images", anchor=False)
    images = image_count(domains.get(recipe.domain), "pair_count")
    attack = attack_words(recipe)
    if images is None or not attack_line(recipe, attack):
        return headline
    count, split = images
    key = result_keys.transfer_accuracy(recipe, (first, second), count, split)
    result = computed(
        key,
        f"Compare on {plural(count, 'image')}",
        lambda: model_jobs.start_transfer_accuracy(recipe, (first, second), count, split),
    )
    if result is None:
        return waiting(key, headline)
    table(pair_table(result, titles, recipe.build_attack().title), key="pair_table", name="two_classifiers")
    st.caption(
        plain(
            f"{measured_note(recipe, attack, len(result.labels), split)} Crafted on the judge itself it is a white box, else a black box: "
            "the attacker never saw the judge. Same prediction: right or wrong."
        )
    )
    return pair_verdict(result, titles, recipe.build_attack().title)


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
    except InvalidInput as error:
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
            "attacker": "white box" if name == classifier_name(recipe) else "black box",
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
