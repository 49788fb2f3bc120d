"""The example of the recipe: its image in front of its classifier."""

from __future__ import annotations

import streamlit as st

from app.runtime import background
from app.state import model_cache, result_keys, results, session, uploads
from app.state.result_keys import classifier_name, device_name
from core import domains
from core.explain import layers as explain
from core.explain.layers import Layer
from core.inputs import InvalidInput
from core.models.classifier import Classifier
from core.recipe import (
    Example,
    Recipe,
    load_example,
)
from core.recipe.columns import named_classifiers
from core.systems.system import Loader


def current() -> Example | None:
    """The image and the classifier of the recipe; None while the classifier is not here, or where `image_error` says why not."""
    st.session_state.pop("image_error", None)
    background.poll_jobs()
    recipe = session.recipe()
    key = result_keys.example(recipe)
    if results.get(key) is None:
        loaded = _classifier(recipe, classifier_name(recipe))
        if loaded is None:
            return None
        uploads.hold(recipe.image.digest)
        try:
            result = load_example(
                recipe, classifier=loaded, classifiers=_loader(recipe.domain), uploads=uploads.uploads()
            )
        except InvalidInput as error:
            st.session_state.image_error = str(error)
            return None
        stored = results.results()
        for other in [k for k, r in stored.items() if isinstance(r, Example) and r.classifier is not loaded]:
            del stored[other]  # it would hold a classifier that nobody uses
        results.put(key, result)
    for name in named_classifiers(recipe.defenses):
        if not domains.get(recipe.domain).is_local(name) and _classifier(recipe, name) is None:
            return None
    return results.get(key)


def _loader(domain: str) -> Loader:
    """A function that gives a domain's classifiers by name, on any thread."""
    cache, device, root = model_cache.model_cache(), device_name(), str(domains.data_root())
    return lambda name: cache.load((domain, name, device, root))


def missing_classifier() -> str:
    """The first classifier of the recipe that has to be downloaded before anything is shown."""
    recipe = session.recipe()
    names = (classifier_name(recipe), *named_classifiers(recipe.defenses))
    return next((name for name in names if not model_cache.is_available(_model_key(recipe, name))), names[0])


def _model_key(recipe: Recipe, name: str) -> model_cache.Key:
    return (recipe.domain, name, device_name(), str(domains.data_root()))


def image_error() -> str:
    """Why the recipe's image cannot be shown, as a sentence; empty where it can."""
    return str(st.session_state.get("image_error", ""))


def _classifier(recipe: Recipe, name: str) -> Classifier | None:
    """A classifier of the recipe's domain, at once where it ships or is loaded; else a download begins."""
    key, cache = _model_key(recipe, name), model_cache.model_cache()
    classifier = cache.get(key)
    if classifier is None and domains.get(recipe.domain).is_local(name):
        try:
            classifier = cache.load(key)
        except InvalidInput as error:
            session.report_error(str(error))
    elif classifier is None:
        title = domains.get(recipe.domain).classifier_title(name)
        background.start_download(
            result_keys.weights(recipe, name), f"Getting {title}", lambda on_progress: cache.load(key, on_progress)
        )
        classifier = cache.get(key)
    return classifier


def layers(classifier: Classifier) -> tuple[Layer, ...]:
    """The classifier's layers, looked up once."""
    key = result_keys.layers(classifier.domain, classifier.name)
    result = results.get(key)
    if result is None:
        result = explain.layers(classifier)
        results.put(key, result)
    return result
