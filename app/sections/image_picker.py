"""Choosing an image: from the gallery, from a data set, or one of the user's own; and how it is fitted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

from app.components.image_row import data_uri
from app.runtime import examples
from app.sections.upload_picker import upload_picker
from app.state import session
from app.theme import crisp_key, plain
from core import domains, images
from core.inputs import InvalidInput
from core.recipe import Example, ImageRef, Recipe

_SOURCES = {"gallery": "Gallery", "dataset": "Data set", "upload": "Yours"}

_GALLERY = st.components.v2.component(
    "mirage_gallery",
    html="""<div id="g" role="radiogroup" aria-label="Image"></div>""",
    css="""
#g{display:grid;grid-template-columns:repeat(4,1fr);gap:6px}
button{padding:0;border:2px solid transparent;border-radius:6px;background:#777;cursor:pointer;line-height:0;overflow:hidden;aspect-ratio:1}
button img{width:100%;height:100%;object-fit:cover;image-rendering:var(--ir)}
button[aria-checked=true]{border-color:var(--st-primary-color);box-shadow:0 0 0 2px var(--st-primary-color)}
button:focus-visible{outline:3px solid var(--st-primary-color);outline-offset:2px}
""",
    js="""
export default function ({ data, parentElement, setStateValue }) {
  const g = parentElement.querySelector('#g'); g.style.setProperty('--ir', data.crisp ? 'pixelated' : 'auto');
  g.replaceChildren(...data.items.map((item) => {
    const b = document.createElement('button'); b.type = 'button'; b.setAttribute('role', 'radio'); b.title = item.title;
    b.setAttribute('aria-checked', item.name === data.chosen); b.setAttribute('aria-label', item.title);
    const i = document.createElement('img'); i.src = item.src; i.alt = ''; b.append(i);
    b.onclick = () => setStateValue('chosen', item.name);
    b.onkeydown = (e) => { const d = { ArrowRight: 'nextElementSibling', ArrowLeft: 'previousElementSibling' }[e.key];
      if (d && b[d]) { e.preventDefault(); b[d].focus(); } };
    return b;
  }));
}
""",
)


def image_picker(domain: domains.Domain, recipe: Recipe) -> None:
    """The image of the recipe: where it comes from, which one, how it is fitted, and what the classifier will see."""
    if st.session_state.get("side_source") not in _SOURCES:
        st.session_state.side_source = recipe.image.kind
    source = st.segmented_control(
        "Image",
        list(_SOURCES),
        format_func=_SOURCES.__getitem__,
        key="side_source",
        required=True,
        on_change=_source_changed,
    )
    if source == "gallery":
        _from_gallery(domain, recipe)
    elif source == "dataset":
        _from_data_set(domain, recipe)
    else:
        upload_picker()
    _preview(recipe)


def _source_changed() -> None:
    """The data set's first image comes at once; of the others nobody knows yet which one."""
    recipe = session.recipe()
    splits = domains.get(recipe.domain).splits()
    if st.session_state.side_source == "dataset" and recipe.image.kind != "dataset" and splits:
        session.set_image(ImageRef(kind="dataset", split=splits[0], fit=recipe.image.fit))


def _from_gallery(domain: domains.Domain, recipe: Recipe) -> None:
    key = f"gallery_{domain.name}"
    current = _gallery_name(recipe)

    def chosen() -> None:
        name = st.session_state[key]["chosen"]
        if name:
            session.set_image(ImageRef(name=name, fit=session.recipe().image.fit))

    items = _thumbnails(domain.name, domain.missing_reason())
    # The style sheet keeps a place for so many rows of four, so that what stands below does not move when they come.
    with st.container(key=f"gallery_rows_{-(-len(items) // 4)}"):
        _GALLERY(
            key=key,
            data={"items": items, "chosen": current, "crisp": domain.size <= 64},
            default={"chosen": current},
            on_chosen_change=chosen,
        )


def _gallery_name(recipe: Recipe) -> str:
    """The name of the gallery's image that the recipe is about, also where it is the default; '' for an image from elsewhere."""
    if recipe.image.kind != "gallery" or recipe.image.name:
        return recipe.image.name if recipe.image.kind == "gallery" else ""
    example = examples.current()
    return example.image_ref.name if example is not None else ""


@st.cache_data(max_entries=16, show_spinner=False)
def _thumbnails(domain: str, _missing: str | None) -> list[dict[str, str]]:
    shelf = domains.get(domain)
    items = []
    for item in shelf.gallery():
        title = item.title
        try:
            stored = shelf.gallery_pixels(item.name)
        except InvalidInput as error:  # a gray tile that says why
            stored, title = np.full((8, 8, 3), images.MAT, np.uint8), f"{item.title}: {error}"
        small = images.fit(stored, min(72, max(28, shelf.size)), shelf.channels, "crop")
        items.append({"name": item.name, "title": title, "src": data_uri(small)})
    return items


def _from_data_set(domain: domains.Domain, recipe: Recipe) -> None:
    """One image of a split, by class and by its number within that class; what the recipe names and is not here stands empty."""
    splits = domain.splits()
    if not splits:
        st.caption(plain(domain.missing_reason() or "This domain has no data set."))
        return
    image_ref = recipe.image if recipe.image.kind == "dataset" else None
    session.set_widget("set_split", image_ref.split if image_ref and image_ref.split in splits else None)
    split = st.selectbox(
        "Split", splits, index=None, key="set_split", placeholder="Choose a split", on_change=_split_changed
    )
    if split is None:
        return
    try:
        labels = domain.labels(split)
    except InvalidInput as error:
        st.warning(plain(str(error)))
        return
    present = [int(n) for n in np.unique(labels) if n >= 0]
    every = "any class"
    options: list[int | str] = [every, *present]
    key = f"set_class_{domain.name}"
    inside = image_ref is not None and image_ref.index < len(labels)
    if st.session_state.get(key) not in options or (
        image_ref and inside and st.session_state[key] not in (every, int(labels[image_ref.index]))
    ):
        st.session_state[key] = every

    def of_class() -> npt.NDArray[np.int64]:
        chosen = st.session_state[key]
        return np.arange(len(labels)) if chosen == every else np.flatnonzero(labels == chosen)

    def class_chosen() -> None:
        fitting = of_class()
        current = session.recipe().image
        if current.index not in fitting:
            session.set_image(ImageRef(kind="dataset", split=split, index=int(fitting[0]), fit=current.fit))

    st.selectbox(
        "Class",
        options,
        format_func=lambda n: n if isinstance(n, str) else domain.classes[n],
        key=key,
        on_change=class_chosen,
    )
    fitting = of_class()
    number_key = f"set_number_{domain.name}_{split}_{st.session_state[key]}"

    def number_chosen() -> None:
        number = st.session_state[number_key]
        if number is not None:
            fit = session.recipe().image.fit
            session.set_image(ImageRef(kind="dataset", split=split, index=int(fitting[number]), fit=fit))

    session.set_widget(number_key, int(np.searchsorted(fitting, image_ref.index)) if image_ref and inside else None)
    st.number_input(
        f"Number (0 to {len(fitting) - 1:,})",
        0,
        len(fitting) - 1,
        None,
        1,
        key=number_key,
        placeholder="Choose a number",
        on_change=number_chosen,
    )


def _split_changed() -> None:
    split = st.session_state.set_split
    if split is not None:
        session.set_image(ImageRef(kind="dataset", split=split, fit=session.recipe().image.fit))


def _fit_changed() -> None:
    session.update_recipe(image={**session.recipe().image.model_dump(), "fit": st.session_state.side_fit})


def _preview(recipe: Recipe) -> None:
    """How the image is fitted, and what the classifier will see of it."""
    session.set_widget("side_fit", recipe.image.fit)
    st.segmented_control(
        "Fitted by",
        ["crop", "pad", "stretch"],
        default=recipe.image.fit,
        key="side_fit",
        required=True,
        on_change=_fit_changed,
        help="Cut the long side, put gray beside the short one, or distort.",
    )
    example = examples.current()
    if example is None:
        return
    with st.container(key=crisp_key("preview", example.clean)):
        st.image(example.clean, width=150, output_format="PNG", alt="The image as the classifier gets it")
    st.caption(f"What the classifier gets: {example.clean.shape[1]}×{example.clean.shape[0]} pixels")
    _true_class(domains.get(recipe.domain), session.recipe(), example)


def _true_class(domain: domains.Domain, recipe: Recipe, example: Example) -> None:
    """A field for the true class of an image whose class the domain does not know."""
    if domain.true_label(example.image_ref) is not None:
        return
    key = f"side_true_class_{domain.name}"
    session.set_widget(key, recipe.true_class)

    def chosen() -> None:
        name = st.session_state[key]
        session.update_recipe(true_class=name, **({"target": ""} if name and session.recipe().target == name else {}))

    st.selectbox(
        "True class",
        ["", *domain.class_words()],
        format_func=lambda name: name or "unknown",
        key=key,
        on_change=chosen,
        help="What the image shows, if it is one of the classes. While it is unknown, nothing is marked right or wrong.",
    )
