"""The image, what the classifier sees in it, one attack and three defenses at a glance, and the doors onward."""

import streamlit as st

from app import theme
from app.components.image_row import Tile, row
from app.runtime import examples, progress, recipe_jobs
from app.state import result_keys, results, session
from app.state.result_keys import AnyKey
from app.text import attacked_title, per_cent, prediction, start_verdict
from core import domains
from core.recipe import Example, Recipe


def glance(recipe: Recipe, example: Example) -> None:
    """The recipe's attack and its defenses on this image, small."""
    key, defended = result_keys.attack(recipe), result_keys.defenses(recipe, "grey")
    if results.get(key) is None:
        recipe_jobs.start_attack(recipe, example)
    attack_outcome = results.get(key)
    if attack_outcome is None or attack_outcome.stopped:
        waiting(key, "The attack")
        return
    columns = results.get(defended) or ()
    if len(columns) < len(recipe.defenses):
        recipe_jobs.start_defenses(recipe, example, attack_outcome, "grey")
        columns = results.get(defended) or ()
    if len(columns) < len(recipe.defenses):
        waiting(defended, "The comparison of defenses")
        return
    classes, label = example.classifier.classes, example.known_label
    title = attacked_title(attack_outcome, attack_outcome.method)
    tiles = [
        Tile(attack_outcome.adversarial, title, prediction(attack_outcome.prediction, classes, label), "adversarial")
    ]
    for column in columns:
        assert column.grey is not None
        tiles.append(
            Tile(
                column.grey.defended,
                column.short_title,
                prediction(column.grey.prediction, classes, label),
                "defended",
            )
        )
    row(tiles, key="glance", label="One attack and the defenses against it", width=112)
    if columns:
        st.caption("The attacker does not know these defenses (grey box); Defend shows the one who does.")


def waiting(key: AnyKey, what: str) -> None:
    """What stands in the place of results that are not here yet."""
    if not progress.show_progress(None):
        st.caption(theme.plain(progress.status_text(key, "", what)))
        progress.retry_button(key)


def choose_upload() -> None:
    st.session_state.side_source = "upload"


example = examples.current()
if example is None:
    st.stop()
assert example is not None
recipe = session.recipe()
classes = example.classifier.classes

theme.verdict(start_verdict(example.clean_prediction, classes, example.known_label))
image_column, words = st.columns([1, 1.6], gap="large")
with image_column:
    alt = f"The image: {classes[example.label]}" if example.label_known else "The image"
    row(
        [Tile(example.clean, "The image", "", "clean", file_name="clean.png", alt=alt)],
        key="start_image",
        label="The image",
    )
with words:
    for number, share in example.clean_prediction.top[:3]:
        true = " ✓" if number == example.known_label else ""
        st.progress(share, text=f"{theme.plain(classes[number])}{true} · {per_cent(share)}")
    note = domains.get(recipe.domain).classifier_note(example.classifier.name)
    st.caption(theme.plain(f"{example.classifier.title}: {note}"))
    glance(recipe, example)

doors = st.columns(3)
with doors[0], st.container(border=True, height="stretch"):
    st.subheader("Fool it", anchor=False)
    st.write("Change the image a little until the classifier sees something else, step by step.")
    if st.button("Attack this image", type="primary", icon=":material/bolt:", key="door_attack"):
        session.open_page("attack")
with doors[1], st.container(border=True, height="stretch"):
    st.subheader("Defend it", anchor=False)
    st.write("Put defenses side by side, against an attacker who does not know them and one who does.")
    if st.button("Compare defenses", icon=":material/shield:", key="door_defend"):
        session.open_page("defend")
with doors[2], st.container(border=True, height="stretch"):
    st.subheader("Bring your own", anchor=False)
    st.write("Upload, paste or photograph an image in the sidebar, or choose another domain there.")
    st.button("Use an image of yours", icon=":material/upload:", key="door_upload", on_click=choose_upload)
