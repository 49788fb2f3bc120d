"""The sidebar of every page: domain, classifier, image, device, seed."""

from __future__ import annotations

import streamlit as st

from app.runtime import progress, recipe_jobs
from app.sections.image_picker import image_picker
from app.state import result_keys, session
from app.theme import plain
from core import device, domains, plugins
from core.models import artifacts


def sidebar() -> None:
    """Draw it; every control stands where the recipe says and changes the recipe."""
    with st.sidebar:
        recipe = session.recipe()
        domain = domains.get(recipe.domain)
        names = domains.names()
        session.set_widget("side_domain", recipe.domain)
        st.selectbox(
            "Domain",
            names,
            names.index(recipe.domain),
            format_func=lambda name: domains.get(name).title,
            key="side_domain",
            on_change=_domain_chosen,
            help="Classes, images and classifiers that belong together.",
        )
        st.caption(domain.note)
        offer_data_set(domain)
        _notices(domain)
        classifiers = domain.classifier_names()
        # A key of its own in each domain: the browser keeps what it shows, and names of two domains can be the same with other titles.
        key = f"side_classifier_{domain.name}"
        session.set_widget(key, recipe.classifier if recipe.classifier in classifiers else classifiers[0])
        st.selectbox(
            "Classifier",
            classifiers,
            classifiers.index(st.session_state[key]),
            format_func=domain.classifier_title,
            key=key,
            on_change=_classifier_chosen,
            args=(key,),
            help=plain(domain.classifier_note(st.session_state[key])),
        )
        image_picker(domain, recipe)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            places = device.names()
            if st.session_state.get("device") not in places:
                st.session_state.device = places[0]
            st.selectbox(
                "Device",
                places,
                key="side_device",
                index=places.index(st.session_state.device),
                on_change=_device_chosen,
            )
            session.set_widget("side_seed", recipe.seed)
            st.number_input(
                "Seed",
                0,
                2**31 - 1,
                recipe.seed,
                key="side_seed",
                on_change=_seed_chosen,
                help="Every random number comes from it.",
            )


def offer_data_set(domain: domains.Domain, key: str = "fetch") -> None:
    """What to do where the domain's images are not on this machine: a sentence, and a button called `key`."""
    sentence = domain.missing_reason()
    if sentence is None:
        return
    st.info(plain(sentence))
    if (
        domain.can_fetch
        and not progress.show_download(result_keys.data_set(domain.name))
        and st.button(f"Download {domain.dataset}", key=key)
    ):
        recipe_jobs.start_dataset_download(domain.name)
        st.rerun()


def _notices(domain: domains.Domain) -> None:
    """What there is to say about the user's own files: images, labels, plugins."""
    for notice in domain.notices():
        if notice.problem:
            st.warning(plain(notice.text))
        else:
            st.caption(plain(notice.text))
    for sentence in (*plugins.problems(), *artifacts.problems()):
        st.warning(plain(sentence))


def _domain_chosen() -> None:
    session.update_recipe(domain=st.session_state.side_domain, classifier="", image={}, target="")


def _classifier_chosen(key: str) -> None:
    session.update_recipe(classifier=st.session_state[key])


def _device_chosen() -> None:
    st.session_state.device = st.session_state.side_device


def _seed_chosen() -> None:
    session.update_recipe(seed=st.session_state.side_seed)
