"""One user's work: the recipe, mirrored into the address, and what was computed for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st

from app.runtime.streamlit_adapter import stepped_in_history
from app.state.uploads import uploads as uploads
from app.theme import plain
from core import defenses, domains
from core.inputs import InvalidInput
from core.recipe import (
    ImageRef,
    Recipe,
    View,
)
from core.recipe.columns import Columns, fitting_columns, members_of


def recipe() -> Recipe:
    """The user's recipe, which `read_query_params` reads and `update_recipe` changes."""
    current: Recipe = st.session_state.setdefault("recipe", Recipe())
    return current


def read_query_params() -> None:
    """Read the recipe from the address where this session did not write it: a link, or a step back or forward in the browser.

    What the browser sends may be older than what was written last. That is no step back, unless the browser says that it is.
    """
    word = st.query_params.get("recipe", "")
    written: list[str] = st.session_state.setdefault("addresses", [])  # since the browser last sent what was written
    if written and word == written[-1]:
        del written[:-1]
        return
    fresh = not written
    # A link to another page carries no recipe.
    if (fresh and not word) or (not fresh and not stepped_in_history() and (not word or word in written)):
        return
    written[:] = [word]
    try:
        set_recipe(Recipe.from_link(word) if word else Recipe())
    except InvalidInput as error:
        instead = "Mirage shows its first example instead." if fresh else "Mirage keeps what it showed before."
        report_error(f"{error} {instead}")


def set_recipe(linked: Recipe) -> None:
    """Make another recipe the user's."""
    if linked.domain not in domains.names():
        raise InvalidInput(f"{domains.get(linked.domain).title} has no classifier on this machine yet.")
    st.session_state.pop("error_message", None)
    st.session_state.recipe = linked
    st.session_state.side_source = linked.image.kind


def update_recipe(**changes: Any) -> None:
    """Change some fields of the recipe; an impossible change is reported and leaves everything as it was.

    To be called from callbacks: they run before the page does, so that all parts of the page see the same recipe.
    """
    st.session_state.pop("error_message", None)
    with report_errors():
        if "true_class" not in changes and _other_image(recipe(), changes):
            changes["true_class"] = ""  # it was said of the image before
        if "domain" in changes and "defenses" not in changes:
            changes["defenses"] = _fitting_columns(changes["domain"], recipe().defenses)
        before = recipe()
        if "view" not in changes:  # a layer belongs to a classifier, and a class and a radius to a domain
            if changes.get("domain", before.domain) != before.domain:
                changes["view"] = View(class_map=before.view.class_map, landscape=before.view.landscape)
            elif changes.get("classifier", before.classifier) != before.classifier:
                changes["view"] = before.view.model_copy(update={"layer": "", "threshold": None})
        after = before.replace(**changes)
        st.session_state.recipe = after
        if after.image.kind != before.image.kind and st.session_state.get("side_source") != after.image.kind:
            st.session_state.side_source = after.image.kind


def set_image(image: ImageRef) -> None:
    """Make another image the recipe's; a target was chosen for the one before."""
    update_recipe(image=image, target="")


def update_view(**changes: Any) -> None:
    """Change what the pages show of the recipe; as `update_recipe`."""
    update_recipe(view={**recipe().view.model_dump(), **changes})


def _fitting_columns(domain: str, columns: Columns) -> Columns:
    """The columns that are for that domain; those that are not are reported."""
    fitting = fitting_columns(domain, columns)
    gone = [
        " and ".join(
            member.classifier or " → ".join(defenses.get(method.name).title for method in member.defenses)
            for member in members_of(column)
        )
        for column in columns
        if column not in fitting
    ]
    if gone:
        report_error(
            f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} not for {domains.get(domain).title}, and left out."
        )
    return fitting


@contextmanager
def report_errors() -> Iterator[None]:
    """What is refused inside gets a sentence at the top of the page."""
    try:
        yield
    except InvalidInput as error:
        report_error(str(error))


def open_page(name: str) -> None:
    """Go to another page with the recipe."""
    st.switch_page(f"pages/{name}.py", query_params={"recipe": recipe().to_link()} if recipe() != Recipe() else {})


def report_error(sentence: str) -> None:
    """Say that sentence at the top of the page, until the user does something else."""
    st.session_state.error_message = sentence


def forget_error() -> None:
    """Say no longer what could not be done before; a callback, for it has to run before the page does."""
    st.session_state.pop("error_message", None)


def _other_image(current: Recipe, changes: Mapping[str, Any]) -> bool:
    """Whether these changes lead to another image, not only to another fit of the same one."""
    if changes.get("domain", current.domain) != current.domain:
        return True
    if "image" not in changes:
        return False
    return ImageRef.model_validate(changes["image"]).model_copy(update={"fit": current.image.fit}) != current.image


def set_widget(key: str, value: Any) -> None:
    """Set the widget of that key to `value`. What a script writes goes to the browser and undoes a choice that is on its way from
    there, so it is only written where something else stands."""
    current = st.session_state.get(key)
    same = current == value
    if isinstance(value, float) and isinstance(current, int | float):
        same = abs(current - value) <= 1e-9 * max(1.0, abs(value))
    if not same:
        st.session_state[key] = value


def add_attack(name: str) -> None:
    """Put one more attack into the comparison."""
    comparison = recipe().comparison
    update_recipe(comparison={**comparison.model_dump(), "attacks": (*comparison.attacks, name)})


def sync_query_params() -> None:
    """Write the recipe into the address, so that a reload, a bookmark and a shared link come back to it."""
    current = recipe()
    word = current.to_link() if current != Recipe() else ""
    written: list[str] = st.session_state.setdefault("addresses", [])
    if st.query_params.get("recipe", "") == word:
        return
    if not written or written[-1] != word:
        written.append(word)
    if word:
        st.query_params["recipe"] = word
    else:
        del st.query_params["recipe"]


def show_error() -> None:
    """Show what could not be done, until the user does something else."""
    st.session_state.error_place = st.empty()
    st.session_state.error_message_shown = None
    show_new_error()


def show_new_error() -> None:
    """Show what was reported since `show_error`, at the same place: a rerun of the page would lose what the user pressed."""
    text = st.session_state.get("error_message")
    if text != st.session_state.get("error_message_shown") and text:
        st.session_state.error_place.warning(plain(text), icon=":material/info:")
    st.session_state.error_message_shown = text


def show_late_error() -> None:
    """The same in a part of the page that runs again by itself, where the page has not said it."""
    text = st.session_state.get("error_message")
    if text and text != st.session_state.get("error_message_shown"):
        st.warning(plain(text), icon=":material/info:")


def set_patch_location(row: float, column: float) -> None:
    """Lay the attack's patch at that place, 0 to 1 from the top and from the left."""
    attack = recipe().attack
    update_recipe(
        attack={"name": attack.name, "params": {**attack.params, "place": "given", "row": row, "column": column}}
    )
